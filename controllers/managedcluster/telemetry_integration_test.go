// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/atlhyper/atlhyper/controllers/managedcluster"
)

// script is a Telemetry that answers what it is told to.
type script struct {
	events chan event.GenericEvent

	mu       sync.Mutex
	received managedcluster.Received
	err      error
	asked    []types.UID
}

func (s *script) Received(_ context.Context, _ string, id types.UID) (managedcluster.Received, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, id)
	return s.received, s.err
}

// says changes the answer and announces it.
func (s *script) says(ctx context.Context, news event.GenericEvent, change func(*managedcluster.Received) error) {
	s.mu.Lock()
	s.err = change(&s.received)
	s.mu.Unlock()
	EventuallyWithOffset(1, s.events).WithContext(ctx).Should(BeSent(news))
}

func (s *script) questions() []types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// startController runs the controller alone, in the way in which the hub does.
func startController(ctx context.Context, change func(*managedcluster.Options)) *hubProcess {
	selector, err := labels.Parse(v1alpha1.LabelCluster)
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	watched := map[client.Object]cache.ByObject{&coordinationv1.Lease{}: {Label: selector}}
	for _, object := range managedcluster.WatchedMetadata() {
		watched[object] = cache.ByObject{Label: selector}
	}
	mgr, err := ctrl.NewManager(hubAccess, manager.Options{
		Scheme: admin.Scheme(), Logger: GinkgoLogr,
		Cache:      cache.Options{ByObject: watched},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
		Controller: config.Controller{SkipNameValidation: new(true), EnableWarmup: new(true)},
		Metrics:    metricsserver.Options{BindAddress: "0"},
	})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
	options := managedcluster.Options{
		HubVersion: hubVersion, AdvertiseURL: plane.Config().Host, AdvertiseCA: plane.CA(),
		Outage: managedcluster.OutageOptions{Fraction: 1}, Live: admin, Recorder: mgr.GetEventRecorder("atlhyper-hub"),
	}
	if change != nil {
		change(&options)
	}
	ExpectWithOffset(1, managedcluster.Setup(mgr, options)).To(Succeed())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &hubProcess{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- mgr.Start(ctx) }()
	return p
}

// replaceHub has the controller run instead of the hub until the spec is over, and
// returns a function that starts it again with other options.
func replaceHub(ctx context.Context, change func(*managedcluster.Options)) (restart func(func(*managedcluster.Options))) {
	running.stop()
	running = startController(ctx, change)
	DeferCleanup(func(ctx SpecContext) {
		running.stop()
		running = startHub(ctx)
	}, NodeTimeout(2*time.Minute))
	return func(change func(*managedcluster.Options)) {
		running.stop()
		running = startController(ctx, change)
	}
}

// bundle returns the bundle of a cluster: its keys, each with the URL and the
// certificates in it. It is nil when there is none.
func bundle(ctx context.Context, name string) map[string]string {
	found := &corev1.ConfigMap{}
	err := admin.Get(ctx, types.NamespacedName{Namespace: clusterNamespace(name), Name: v1alpha1.AgentBundle}, found)
	ExpectWithOffset(1, client.IgnoreNotFound(err)).To(Succeed())
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for key, document := range found.Data {
		var list struct{ Endpoints []struct{ URL, CA string } }
		ExpectWithOffset(1, json.Unmarshal([]byte(document), &list)).To(Succeed(), document)
		ExpectWithOffset(1, list.Endpoints).To(HaveLen(1))
		out[key] = list.Endpoints[0].URL + " " + list.Endpoints[0].CA
	}
	return out
}

// deliver reports how the agent's deliveries stand.
func (a *agent) deliver(ctx context.Context, delivery *atlhyperac.AgentDeliveryApplyConfiguration) {
	info := atlhyperac.AgentInfo().WithVersion(hubVersion).WithStartedAt(metav1.NewTime(time.Unix(1_700_000_000, 0)))
	if delivery != nil {
		info.WithDelivery(delivery)
	}
	report := atlhyperac.ManagedCluster(a.cluster).WithStatus(atlhyperac.ManagedClusterStatus().WithAgent(info))
	ExpectWithOffset(1, a.access.Status().Apply(ctx, report, client.FieldOwner(v1alpha1.FieldOwnerAgent))).To(Succeed())
}

// renewAt renews the Lease with a clock that is ahead.
func (a *agent) renewAt(ctx context.Context, ahead time.Duration) {
	patch := fmt.Appendf(nil, `{"spec":{"renewTime":%q}}`, time.Now().Add(ahead).UTC().Format(metav1.RFC3339Micro))
	_, err := a.session.CoordinationV1().Leases(clusterNamespace(a.cluster)).
		Patch(ctx, v1alpha1.AgentLease, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: v1alpha1.FieldOwnerAgent})
	ExpectWithOffset(1, err).NotTo(HaveOccurred())
}

func message(ctx context.Context, name, kind string) string {
	if c := meta.FindStatusCondition(read(ctx, name).Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

// warnings are the reasons of the Warning events about a cluster.
func warnings(ctx context.Context, name string) []string {
	list := &eventsv1.EventList{}
	ExpectWithOffset(1, admin.List(ctx, list)).To(Succeed())
	var reasons []string
	for _, e := range list.Items {
		if e.Regarding.Name == name && e.Type == corev1.EventTypeWarning {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

var _ = Describe("telemetry", func() {
	const (
		flowing, degraded = v1alpha1.ClusterConditionMetricsFlowing, v1alpha1.ClusterConditionDegraded
		clock             = v1alpha1.ClusterConditionClockSynced
		endpoints, ingest = v1alpha1.BundleEndpoints, v1alpha1.BundleIngest
	)

	It("is announced to every agent, and so is each change of the hub's flags", func(ctx SpecContext) {
		here := plane.Config().Host + " " + string(plane.CA())
		restart := replaceHub(ctx, nil)
		names := []string{"told-a", "told-b"}
		for _, name := range names {
			create(ctx, name)
			provisioned(ctx, name)
			Expect(bundle(ctx, name)).To(Equal(map[string]string{endpoints: here}))
		}
		become := func(want map[string]string) {
			for _, name := range names {
				EventuallyWithOffset(1, bundle).WithContext(ctx).WithArguments(name).Should(Equal(want), name)
			}
		}
		By("taking telemetry")
		restart(func(o *managedcluster.Options) {
			o.IngestURL, o.IngestCA = "https://ingest.example:8444", []byte("PEM")
		})
		become(map[string]string{endpoints: here, ingest: "https://ingest.example:8444 PEM"})
		By("taking it elsewhere, with a certificate that everybody knows")
		restart(func(o *managedcluster.Options) { o.IngestURL = "https://other.example" })
		become(map[string]string{endpoints: here, ingest: "https://other.example "})
		By("being reached at an address that only the join tokens know")
		restart(func(o *managedcluster.Options) {
			o.AdvertiseURL, o.AdvertiseCA, o.IngestURL = "", nil, "https://other.example"
		})
		become(map[string]string{ingest: "https://other.example "})
		By("having nothing to tell")
		restart(func(o *managedcluster.Options) { o.AdvertiseURL, o.AdvertiseCA = "", nil })
		become(nil)
		for _, name := range names {
			Expect(condition(ctx, name, v1alpha1.ConditionReady)).To(Equal("True/Provisioned"))
		}
	}, SpecTimeout(4*time.Minute))

	It("is reported as it flows, is refused, cannot be stored and is stored again", func(ctx SpecContext) {
		const name = "flows"
		ofCluster := event.GenericEvent{Object: &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}}
		ofAll := event.GenericEvent{}
		s := &script{events: make(chan event.GenericEvent)}
		withScript := func(o *managedcluster.Options) { o.Telemetry, o.TelemetryEvents = s, s.events }
		restart := replaceHub(ctx, withScript)
		create(ctx, name)
		provisioned(ctx, name)
		eventually(ctx, name, flowing).Should(Equal("Unknown/NotConnected"))
		Expect(s.questions()).To(BeEmpty())
		a := join(ctx, name, uidA, "n")
		eventually(ctx, name, flowing).Should(Equal("Unknown/AwaitingTelemetry"))
		Expect(s.questions()).To(HaveEach(types.UID(uidA)))
		stop := a.beat(ctx)
		defer stop()
		a.report(ctx, hubVersion, metav1.ConditionTrue)
		eventually(ctx, name, v1alpha1.ClusterConditionAvailable).Should(Equal("True/Available"))
		healthy := func() {
			ExpectWithOffset(1, condition(ctx, name, v1alpha1.ConditionReady)).To(Equal("True/Provisioned"))
			ExpectWithOffset(1, condition(ctx, name, v1alpha1.ClusterConditionAvailable)).To(Equal("True/Available"))
		}

		By("storing something")
		s.says(ctx, ofCluster, func(r *managedcluster.Received) error { r.LastStored = time.Now(); return nil })
		eventually(ctx, name, flowing).Should(Equal("True/SamplesFresh"))
		Expect(condition(ctx, name, degraded)).To(BeEmpty())
		Expect(condition(ctx, name, clock)).To(Equal("True/InSync"))
		wide, err := kubectl(ctx, "get", "mc", name, "-o", "wide")
		Expect(err).NotTo(HaveOccurred(), wide)
		Expect(strings.Fields(wide)[:4]).To(Equal([]string{"NAME", "READY", "AVAILABLE", "METRICS"}), wide)

		By("being idle, which costs no write and hardly a question")
		var version string
		var questions int
		Eventually(func(g Gomega) { // in one while in which the machine does not stall
			version, questions = read(ctx, name).ResourceVersion, len(s.questions())
			g.Consistently(func() string { return read(ctx, name).ResourceVersion }, grace+2*time.Second).Should(Equal(version))
			g.Expect(s.questions()).To(HaveLen(questions))
		}).WithTimeout(3 * grace).Should(Succeed())

		By("restarting the hub, which changes nothing either")
		restart(withScript)
		Eventually(s.questions).Should(HaveLen(questions + 1))
		Consistently(func() string { return read(ctx, name).ResourceVersion }, grace+2*time.Second).Should(Equal(version))

		By("refusing something")
		s.says(ctx, ofCluster, func(r *managedcluster.Received) error {
			r.LastRefused, r.Refusal = time.Now(), "Mismatch"
			return nil
		})
		eventually(ctx, name, flowing).Should(Equal("False/IngestRejected"))
		Expect(message(ctx, name, flowing)).To(ContainSubstring("Mismatch"))
		Eventually(warnings).WithArguments(ctx, name).Should(ConsistOf(v1alpha1.ClusterReasonIngestRejected))
		healthy()

		By("losing the database")
		s.says(ctx, ofAll, func(*managedcluster.Received) error {
			return fmt.Errorf("reading offsets: %w", managedcluster.ErrTelemetryUnavailable)
		})
		eventually(ctx, name, degraded).WithTimeout(40 * time.Second).Should(Equal("True/DatabaseUnavailable"))
		Expect(condition(ctx, name, flowing)).To(Equal("Unknown/DatabaseUnavailable"))
		Expect(message(ctx, name, degraded)).To(ContainSubstring("everything but history works"))
		healthy()
		version = read(ctx, name).ResourceVersion
		Consistently(func() string { return read(ctx, name).ResourceVersion }, 5*time.Second).Should(Equal(version))

		By("finding it again")
		s.says(ctx, ofAll, func(r *managedcluster.Received) error {
			*r = managedcluster.Received{LastStored: time.Now()}
			return nil
		})
		eventually(ctx, name, flowing).Should(Equal("True/SamplesFresh"))
		Expect(condition(ctx, name, degraded)).To(BeEmpty())

		By("hearing from the agent that it cannot deliver")
		a.deliver(ctx, atlhyperac.AgentDelivery().WithFailingSince(metav1.NewTime(time.Unix(1_700_000_000, 0))).
			WithProblem("connection refused").WithBacklogSeconds(300).WithDroppedRecords(7))
		eventually(ctx, name, flowing).Should(Equal("False/SamplesStale"))
		Expect(message(ctx, name, flowing)).To(HaveSuffix("connection refused"))
		a.deliver(ctx, nil)
		eventually(ctx, name, flowing).Should(Equal("True/SamplesFresh"))

		By("running without a history, which leaves nothing of it")
		restart(nil)
		eventually(ctx, name, flowing).Should(BeEmpty())
		Expect(condition(ctx, name, clock)).To(Equal("True/InSync"))
	}, SpecTimeout(6*time.Minute))

	It("does not need a history to see that a clock is wrong", func(ctx SpecContext) {
		const name = "skewed"
		replaceHub(ctx, nil)
		create(ctx, name)
		provisioned(ctx, name)
		a := join(ctx, name, uidA, "n")
		eventually(ctx, name, clock).Should(Equal("True/InSync"))
		renewing := func(ahead time.Duration) func() string {
			return func() string {
				a.renewAt(ctx, ahead)
				return condition(ctx, name, clock)
			}
		}
		Eventually(renewing(-10*time.Minute), 4*grace, time.Second).Should(Equal("False/ClockSkew"))
		Expect(message(ctx, name, clock)).To(ContainSubstring("about 10 minutes behind the hub's"))
		Expect(condition(ctx, name, v1alpha1.ConditionReady)).To(Equal("True/Provisioned"))
		Expect(condition(ctx, name, v1alpha1.ClusterConditionConnected)).To(Equal("True/LeaseRenewed"))
		Eventually(renewing(0), 4*grace, time.Second).Should(Equal("True/InSync"))
		By("falling silent, after which nobody knows")
		eventually(ctx, name, v1alpha1.ClusterConditionConnected).Should(Equal("False/LeaseExpired"))
		Expect(condition(ctx, name, clock)).To(BeEmpty())
	}, SpecTimeout(4*time.Minute))
})
