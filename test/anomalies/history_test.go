// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// recorded reads from history, beside the hub.
type recorded struct {
	*store.Store

	cluster history.ClusterUID
}

// openHistory opens it until the specs are over.
func openHistory(ctx context.Context) recorded {
	GinkgoHelper()
	s, err := store.Open(ctx, hub.DSN, store.Options{ReadOnly: true, Connections: 2})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(s.Close)
	// A cluster is known by the UID of its namespace kube-system.
	ns, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	return recorded{s, history.ClusterUID(ns.UID)}
}

// transitions returns all rows, oldest first, of the namespaces given or of all.
func (r recorded) transitions(ctx context.Context, namespaces ...string) ([]history.Anomaly, error) {
	now := time.Now()
	return all(ctx, r.AnomalyTransitions, history.AnomalyQuery{
		Cluster: r.cluster, Namespaces: namespaces, Range: history.Range{Start: now.Add(-time.Hour), End: now.Add(time.Minute)},
	})
}

// open returns what is open.
func (r recorded) open(ctx context.Context) ([]history.Anomaly, error) {
	return all(ctx, r.OpenAnomalies, history.AnomalyQuery{Cluster: r.cluster})
}

func all(
	ctx context.Context, ask func(context.Context, history.AnomalyQuery) (history.Page[history.Anomaly], error), q history.AnomalyQuery,
) (rows []history.Anomaly, err error) {
	q.Limit = history.MaxLimit
	for {
		page, err := ask(ctx, q)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			slices.Reverse(rows)
			return rows, nil
		}
	}
}

// told returns what was told in some namespaces, such as "raised PodOOMKilled web".
func (r recorded) told(ctx context.Context, namespaces ...string) ([]string, error) {
	rows, err := r.transitions(ctx, namespaces...)
	return sentences(rows), err
}

func sentences(rows []history.Anomaly) []string {
	said := make([]string, 0, len(rows))
	for i := range rows {
		said = append(said, fmt.Sprintf("%s %s %s", rows[i].State, rows[i].Rule, rows[i].Object.Name))
	}
	return said
}

// tells waits until history tells something, and returns how long that was after the
// API server has answered.
func (r recorded) tells(ctx context.Context, namespace, sentence string) time.Duration {
	GinkgoHelper()
	answered := time.Now()
	Eventually(r.told).WithArguments(ctx, namespace).Should(ContainElement(sentence))
	took := time.Since(answered)
	AddReportEntry(sentence+" after", took.Round(time.Millisecond).String())
	return took
}

// soon is how long after something happened history has it at most.
const soon = time.Second

// expectSoon tries something in a new namespace and expects that it does not take too
// long. A machine may stall, so once in a few times is enough; something that is too
// slow is too slow each time.
func expectSoon(ctx context.Context, name string, try func(ns string) time.Duration) {
	GinkgoHelper()
	var took []time.Duration
	for _, suffix := range []string{"", "-again", "-once-more"} {
		took = append(took, try(newNamespace(ctx, name+suffix)))
		if took[len(took)-1] < soon {
			return
		}
	}
	Expect(took).To(ContainElement(BeNumerically("<", soon)))
}

// sighting is a transition, and how long after it was told history had it.
type sighting struct {
	history.Anomaly

	after time.Duration
}

// await looks out for a transition, such as "raised PodOOMKilled", until the specs are
// over: it has to be seen when it comes, whatever the specs do then.
func (r recorded) await(ctx context.Context, namespace, sentence string) <-chan sighting {
	awaiting, stop := context.WithCancel(context.WithoutCancel(ctx))
	seen := make(chan sighting, 1)
	var owned sync.WaitGroup
	owned.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			rows, err := r.transitions(awaiting, namespace) // a history that does not answer is asked again
			at := slices.IndexFunc(rows, func(row history.Anomaly) bool { return fmt.Sprintf("%s %s", row.State, row.Rule) == sentence })
			if err == nil && at >= 0 {
				seen <- sighting{rows[at], time.Since(rows[at].At).Round(time.Millisecond)}
				return
			}
			select {
			case <-awaiting.Done():
				return
			case <-tick.C:
			}
		}
	})
	DeferCleanup(func() { stop(); owned.Wait() })
	return seen
}

// timed are the rules that tell something a minute after it has happened, whatever
// happens then.
var timed = []string{"PodCrashLoopBackOff", "NodeLeaseStale"}

func atOnce(rows []history.Anomaly) []history.Anomaly {
	return slices.DeleteFunc(rows, func(row history.Anomaly) bool { return slices.Contains(timed, row.Rule) })
}

// toldAtOnce returns what was told of rules that wait for nothing.
func (r recorded) toldAtOnce(ctx context.Context) ([]string, error) {
	rows, err := r.transitions(ctx)
	return sentences(atOnce(rows)), err
}

// openAtOnce returns what is open of rules that wait for nothing.
func (r recorded) openAtOnce(ctx context.Context) ([]history.Anomaly, error) {
	rows, err := r.open(ctx)
	return atOnce(rows), err
}

// span is from when something was said until it was certainly heard.
type span struct{ from, to time.Time }

// known waits until history has an object of the member: by then the rules have been
// shown it as well.
func (r recorded) known(ctx context.Context, kind telemetry.Kind, namespace, name string) {
	GinkgoHelper()
	Eventually(func() ([]string, error) {
		page, err := r.Objects(ctx, history.ObjectQuery{Cluster: r.cluster, Kinds: []telemetry.Kind{kind}, Namespaces: []string{namespace}})
		var names []string
		for i := range page.Items {
			names = append(names, page.Items[i].Name)
		}
		return names, err
	}).Should(ContainElement(name), "%s %s/%s", kind, namespace, name)
}

// hubHistory runs `hub history`.
func hubHistory(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(hub.Programs.AtlHyper, "hub"), append([]string{"history"}, args...)...)
	cmd.Env = append(os.Environ(), "ATLHYPER_DSN="+hub.DSN, "KUBECONFIG="+hub.Kubeconfig())
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("hub history %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// fleetAnomalies runs `kubectl atlhyper anomalies`.
func fleetAnomalies(ctx context.Context, args ...string) (string, error) {
	return hub.Kubectl(ctx, append([]string{"atlhyper", "anomalies"}, args...)...)
}
