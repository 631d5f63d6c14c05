// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The specs are in an order: what takes a minute begins before them all and is looked
// at last, and everything else happens in that minute, the agent's end included.
var _ = Describe("Anomalies", Ordered, func() {
	const (
		replicas = 50
		limit    = 3 * time.Minute
	)
	var (
		past recorded
		// crashed is when the replicas of a Deployment began to crash, and heard when
		// a node was heard of again, each from when that was said until it was told.
		crashed, heard span
		// raises and clears are how that is told when its time has come, and away is
		// until when the agent was.
		raises []<-chan sighting
		clears <-chan sighting
		away   time.Time
	)

	BeforeAll(func(ctx SpecContext) {
		past = openHistory(ctx)
		makeNode(ctx, "node-1", 0)
		heartbeats(ctx, "node-1")

		By("letting a node be silent, and making a Deployment crash")
		makeNode(ctx, "silent", time.Minute)
		makeNode(ctx, "mute", time.Minute)
		ns := newNamespace(ctx, "shop")
		pods := makeWorkload(ctx, ns, "web", replicas).pods(ctx)
		crashed.from = time.Now()
		for n, pod := range pods {
			crashes(ctx, pod)
			if n == 0 {
				past.tells(ctx, ns, "pending PodCrashLoopBackOff "+pod.Name)
				crashed.to = time.Now()
			}
		}
		Eventually(past.told).WithArguments(ctx, "").Should(ContainElements("raised NodeLeaseStale silent", "raised NodeLeaseStale mute"))
		heard.from = heartbeats(ctx, "silent")
		heard.to = time.Now()
		By("making another crash, later")
		crashes(ctx, makePod(ctx, newNamespace(ctx, "late"), "web"))
		for _, ns := range []string{"shop", "late"} {
			raises = append(raises, past.await(ctx, ns, "raised PodCrashLoopBackOff"))
		}
		clears = past.await(ctx, "", "cleared NodeLeaseStale")
	}, NodeTimeout(3*time.Minute))

	It("are neither told twice nor replayed nor forgotten when the agent is killed", func(ctx SpecContext) {
		ns := newNamespace(ctx, "killed-agent")
		stays, ends := makePod(ctx, ns, "stays"), makePod(ctx, ns, "ends")
		goes, killed := makePod(ctx, ns, "goes"), makePod(ctx, ns, "killed")
		later, begins := makePod(ctx, ns, "later"), makePod(ctx, ns, "begins")
		waits(ctx, stays, "InvalidImageName", "")
		ends = waits(ctx, ends, "InvalidImageName", "")
		waits(ctx, goes, "InvalidImageName", "")
		outOfMemory(ctx, killed)
		Eventually(past.told).WithArguments(ctx, ns).Should(ConsistOf("raised PodInvalidImageName stays",
			"raised PodInvalidImageName ends", "raised PodInvalidImageName goes", "raised PodOOMKilled killed"))
		expectRemembered("stays", "ends", "goes", "killed")
		before, err := past.told(ctx)
		Expect(err).NotTo(HaveOccurred())

		agent.Kill()
		recovers(ctx, ends)
		remove(ctx, goes)
		outOfMemory(ctx, later)
		waits(ctx, begins, "InvalidImageName", "")
		Expect(past.told(ctx)).To(Equal(before))
		startAgent(ctx)

		news := []any{
			"cleared PodInvalidImageName ends", "cleared PodInvalidImageName goes",
			"raised PodOOMKilled later", "raised PodInvalidImageName begins",
		}
		Eventually(func() ([]string, error) {
			told, err := past.told(ctx)
			return told[min(len(before), len(told)):], err
		}).Should(ConsistOf(news...))

		By("telling what happens next, after which nothing else may have been told")
		waits(ctx, makePod(ctx, ns, "next"), "InvalidImageName", "")
		past.tells(ctx, ns, "raised PodInvalidImageName next")
		told, err := past.told(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(told[:len(before)]).To(Equal(before))
		Expect(told[len(before):]).To(ConsistOf(append(news, "raised PodInvalidImageName next")...))
	}, SpecTimeout(limit))

	It("are Unknown while the agent is away, and never cleared by that", func(ctx SpecContext) {
		ns := newNamespace(ctx, "lost-agent")
		pod := waits(ctx, makePod(ctx, ns, "page"), "InvalidImageName", "")
		past.tells(ctx, ns, "raised PodInvalidImageName page")
		expectRemembered("page")
		Eventually(shown).WithArguments(ctx).Should(And(HaveField("State", "Current"), HaveField("Worst", ContainElement("PodInvalidImageName lost-agent/page 1"))))
		agent.Kill()
		figures, err := shown(ctx)
		Expect(err).NotTo(HaveOccurred())
		// What the minute is up of may have been told at the very end.
		before, err := past.toldAtOnce(ctx)
		Expect(err).NotTo(HaveOccurred())
		open, err := past.openAtOnce(ctx)
		Expect(err).NotTo(HaveOccurred())
		Eventually(shown).WithArguments(ctx).WithPolling(200 * time.Millisecond).WithTimeout(time.Minute).Should(HaveField("State", "Unknown"))
		unknown, err := shown(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(unknown.AsOf).NotTo(BeEmpty(), "nobody can tell how old this is")
		figures.State, figures.AsOf = unknown.State, unknown.AsOf
		Expect(unknown).To(Equal(figures), "the figures are those that were known last")
		Expect(fleetAnomalies(ctx, "-o", "wide")).To(And(
			MatchRegexp(`(?m)^1 cluster: 0 critical, 0 warnings, 0 info, 1 cluster unknown$`),
			MatchRegexp(`(?m)^alpha +Unknown +\d+ +\d+ +\d+ +\d+s$`),
			MatchRegexp(`(?m)^alpha +warning +Unknown +PodInvalidImageName +Pod lost-agent/page +1 +\d+s +InvalidImageName$`),
		))
		Expect(past.toldAtOnce(ctx)).To(Equal(before))
		Expect(past.openAtOnce(ctx)).To(Equal(open))

		By("starting the agent again, for which one thing is over")
		recovers(ctx, pod)
		startAgent(ctx)
		Eventually(past.toldAtOnce).WithArguments(ctx).Should(Equal(append(before, "cleared PodInvalidImageName page")))
		away = time.Now()
		Eventually(shown).WithArguments(ctx).Should(And(HaveField("State", "Current"), HaveField("Worst", Not(ContainElement(ContainSubstring("lost-agent/"))))))
	}, SpecTimeout(limit))

	DescribeTable("are in history within a second of what a kubelet says",
		func(ctx SpecContext, name string, fails func(context.Context, *corev1.Pod) *corev1.Pod, want string) {
			expectSoon(ctx, name, func(ns string) time.Duration {
				pod := makePod(ctx, ns, "web")
				fails(ctx, pod)
				took := past.tells(ctx, ns, want+" web")
				Expect(past.told(ctx, ns)).To(Equal([]string{want + " web"}))
				rows, err := past.transitions(ctx, ns)
				Expect(err).NotTo(HaveOccurred())
				Expect(rows).To(HaveExactElements(And(
					HaveField("Object", telemetry.ObjectRef{Kind: "Pod", Namespace: ns, Name: "web", UID: string(pod.UID)}),
					HaveField("Container", "web"), HaveField("Node", "node-1"), HaveField("Count", uint32(1)), HaveField("Message", Not(BeEmpty())),
					HaveField("Evidence", ContainElement(telemetry.Label{Key: "image", Value: "registry.example.com/web:1"})),
				)))
				return took
			})
		},
		Entry("OOMKilled, raised at once", SpecTimeout(limit), "oom-killed", outOfMemory, "raised PodOOMKilled"),
		Entry("ImagePullBackOff, pending at once", SpecTimeout(limit), "image-pull", func(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
			return waits(ctx, pod, "ImagePullBackOff", `Back-off pulling image "registry.example.com/web:1"`)
		}, "pending PodImagePullFailed"),
		Entry("CrashLoopBackOff, pending at once", SpecTimeout(limit), "crash-loop", crashes, "pending PodCrashLoopBackOff"),
		Entry("InvalidImageName, raised at once", SpecTimeout(limit), "image-name", func(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
			return waits(ctx, pod, "InvalidImageName", "")
		}, "raised PodInvalidImageName"),
	)

	It("are cleared within a second of recovery, or of the object's end", func(ctx SpecContext) {
		expectSoon(ctx, "recovery", func(ns string) time.Duration {
			web, db := waits(ctx, makePod(ctx, ns, "web"), "InvalidImageName", ""), waits(ctx, makePod(ctx, ns, "db"), "ErrImageNeverPull", "")
			took := past.tells(ctx, ns, "raised PodInvalidImageName web")
			took = max(took, past.tells(ctx, ns, "raised PodErrImageNeverPull db"))
			recovers(ctx, web)
			took = max(took, past.tells(ctx, ns, "cleared PodInvalidImageName web"))
			remove(ctx, db)
			took = max(took, past.tells(ctx, ns, "cleared PodErrImageNeverPull db"))
			Expect(past.told(ctx, ns)).To(HaveLen(4))
			Expect(past.open(ctx)).NotTo(ContainElement(HaveField("Object.Namespace", ns)))
			return took
		})
	}, SpecTimeout(limit))

	It("are not made of what is healthy", func(ctx SpecContext) {
		ns := newNamespace(ctx, "healthy")
		makeHealthy(ctx, past, ns)
		By("raising something, after which nothing else may have been told")
		waits(ctx, makePod(ctx, ns, "marker"), "InvalidImageName", "")
		past.tells(ctx, ns, "raised PodInvalidImageName marker")
		Expect(past.told(ctx, ns)).To(Equal([]string{"raised PodInvalidImageName marker"}))
		Expect(past.told(ctx, "")).NotTo(ContainElement(HaveSuffix(" cordoned")))
	}, SpecTimeout(limit))

	It("are shown to people", func(ctx SpecContext) { expectShown(ctx, past, replicas) }, SpecTimeout(limit))

	It("are the same in a dump of the cluster", func(ctx SpecContext) { expectSameInDump(ctx, past) }, SpecTimeout(limit))

	It("are one for fifty replicas, raised once their time has come", func(ctx SpecContext) {
		var raised, late sighting
		Eventually(raises[0]).WithTimeout(limit / 2).Should(Receive(&raised))
		Eventually(raises[1]).WithTimeout(limit / 2).Should(Receive(&late))
		AddReportEntry("raised, to visible after", raised.after.String()+" and "+late.after.String())
		Expect(min(raised.after, late.after)).To(BeNumerically("<", soon))
		Expect(raised.Count).To(BeEquivalentTo(replicas))
		Expect(raised.Owner).To(And(HaveField("Kind", "Deployment"), HaveField("Name", "web")))
		// The API server keeps whole seconds.
		Expect(raised.At.Sub(crashed.from)).To(BeNumerically(">", 59*time.Second))
		Expect(raised.At).To(BeTemporally("<", due(crashed, away).Add(5*time.Second)))
		Expect(past.told(ctx, "shop")).To(Equal([]string{
			fmt.Sprintf("pending %s %s", raised.Rule, raised.Object.Name), fmt.Sprintf("raised %s %s", raised.Rule, raised.Object.Name),
		}))
	}, SpecTimeout(limit))

	It("are cleared when their condition has been gone for the keep-firing time", func(SpecContext) {
		var cleared sighting
		Eventually(clears).WithTimeout(limit / 2).Should(Receive(&cleared))
		AddReportEntry("cleared, to visible after", cleared.after.String())
		Expect(cleared.after).To(BeNumerically("<", 10*soon), "there is only one, which a machine that stalls may delay")
		Expect(cleared.Object.Name).To(Equal("silent"))
		// Heartbeats alone are looked at every 10 s.
		Expect(cleared.At.Sub(heard.from)).To(BeNumerically(">=", time.Minute))
		Expect(cleared.At).To(BeTemporally("<", due(heard, away).Add(15*time.Second)))
	}, SpecTimeout(limit))
})

// due is when a minute after something was told is over, or when the agent was there
// again if that is later.
func due(what span, away time.Time) time.Time {
	if at := what.to.Add(time.Minute); at.After(away) {
		return at
	}
	return away
}

// expectRemembered waits until the agent has written down what it told about some
// objects: of its last seconds a killed agent may tell again.
func expectRemembered(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		Eventually(os.ReadFile).WithArguments(filepath.Join(member.Dir, "spool", "state", "anomalies.json")).
			Should(ContainSubstring(`"Name":"`+name+`"`), "the agent does not remember %s", name)
	}
}

// makeHealthy makes what looks unusual and is as it should be, and waits until the
// agent has seen all of it.
func makeHealthy(ctx context.Context, past recorded, ns string) {
	GinkgoHelper()
	makeNode(ctx, "cordoned", 0)
	heartbeats(ctx, "cordoned")
	_, err := member.Kubectl(ctx, "cordon", "cordoned")
	Expect(err).NotTo(HaveOccurred())
	makeWorkload(ctx, ns, "scaled-to-zero", 0)
	for _, pod := range makeWorkload(ctx, ns, "paused", 2).pods(ctx) {
		past.known(ctx, telemetry.KindPod, ns, pod.Name)
	}
	_, err = member.Kubectl(ctx, "rollout", "pause", "deployment/paused", "--namespace="+ns)
	Expect(err).NotTo(HaveOccurred())
	paused, err := kube.AppsV1().Deployments(ns).Get(ctx, "paused", metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	paused.Status.ObservedGeneration = paused.Generation
	paused.Status.Conditions[1].Status, paused.Status.Conditions[1].Reason = corev1.ConditionUnknown, "DeploymentPaused"
	_, err = kube.AppsV1().Deployments(ns).UpdateStatus(ctx, paused, metav1.UpdateOptions{})
	Expect(err).NotTo(HaveOccurred())
	finishJob(ctx, ns)

	gated := podSpec()
	gated.NodeName, gated.SchedulingGates = "", []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
	_, err = kube.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "gated"}, Spec: gated}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())

	past.known(ctx, telemetry.KindNode, "", "cordoned")
	past.known(ctx, telemetry.KindDeployment, ns, "scaled-to-zero")
	past.known(ctx, telemetry.KindDeployment, ns, "paused")
	past.known(ctx, telemetry.KindJob, ns, "import")
	past.known(ctx, telemetry.KindPod, ns, "import-x7k2p")
	past.known(ctx, telemetry.KindPod, ns, "gated")
}
