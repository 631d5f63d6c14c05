// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// fakeAnomalies says what a test wants to be open.
type fakeAnomalies struct {
	mu      sync.Mutex
	summary *anomaly.Summary
	changed chan struct{}
}

func (f *fakeAnomalies) Summary() (anomaly.Summary, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.summary == nil {
		return anomaly.Summary{}, false
	}
	return *f.summary, true
}

func (f *fakeAnomalies) Changed() <-chan struct{} { return f.changed }

func (f *fakeAnomalies) set(summary anomaly.Summary) {
	f.mu.Lock()
	f.summary = &summary
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func broken(rule, name string, severity telemetry.Severity) telemetry.AnomalyTransition {
	return telemetry.AnomalyTransition{
		Rule: rule, Fingerprint: rule + name, State: telemetry.AnomalyRaised, Severity: severity, Reason: "Reason" + rule, Count: 3, Since: start,
		Object: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: name + "-7d9c-x"},
		Owner:  telemetry.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: name},
	}
}

func openAre(transitions ...telemetry.AnomalyTransition) (s anomaly.Summary) {
	for _, t := range transitions {
		switch t.Severity {
		case telemetry.SeverityCritical:
			s.Critical++
		case telemetry.SeverityWarning:
			s.Warning++
		default:
			s.Info++
		}
	}
	s.Worst = transitions
	return s
}

func startWithAnomalies(t *testing.T, open *anomaly.Summary) (*fakeInventory, *fakeAnomalies, *fakeHub) {
	t.Helper()
	inv := &fakeInventory{snapshot: healthy(), changed: make(chan struct{}, 1)}
	judged := &fakeAnomalies{summary: open, changed: make(chan struct{}, 1)}
	hub := &fakeHub{
		cluster:   &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "prod", UID: "1"}},
		connected: true, changed: make(chan struct{}, 1),
	}
	reporter, err := New(Options{Inventory: inv, Hub: hub, Agent: agent, Anomalies: judged})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reporter.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run failed: %v", err)
		}
	})
	synctest.Wait()
	return inv, judged, hub
}

func TestSummarize(t *testing.T) {
	long := strings.Repeat("x", 300)
	wordy := broken(long, long, telemetry.SeverityInfo)
	wordy.Owner.Kind, wordy.Owner.Namespace, wordy.Reason = long, long, long
	node := broken("NodeNotReady", "", telemetry.SeverityWarning)
	node.Owner, node.Object, node.Count, node.Reason = telemetry.ObjectRef{}, telemetry.ObjectRef{Kind: "Node", Name: "node-1"}, 0, ""
	storm := broken("WarningEventStorm", "", telemetry.SeverityInfo)
	storm.Owner, storm.Object = telemetry.ObjectRef{}, telemetry.ObjectRef{Kind: "Cluster", Namespace: "shop"}

	got := summarize(&anomaly.Summary{
		Critical: 1, Warning: 1, Info: 2, Pending: 7,
		Worst: []telemetry.AnomalyTransition{broken("DeploymentUnavailable", "web", telemetry.SeverityCritical), node, wordy, storm, {}},
	})
	since := metav1.NewTime(start)
	want := &v1alpha1.AnomalySummary{
		Critical: new(int32(1)), Warning: new(int32(1)), Info: new(int32(2)),
		Worst: []v1alpha1.AnomalyReference{
			{Rule: "DeploymentUnavailable", Severity: "critical", Kind: "Deployment", Namespace: "shop", Name: "web", Reason: "ReasonDeploymentUnavailable", Count: 3, Since: since},
			{Rule: "NodeNotReady", Severity: "warning", Kind: "Node", Name: "node-1", Reason: "NodeNotReady", Count: 1, Since: since},
			{Rule: long[:64], Severity: "info", Kind: long[:63], Namespace: long[:63], Name: long[:253], Reason: long[:128], Count: 3, Since: since},
			{Rule: "WarningEventStorm", Severity: "info", Kind: "Cluster", Namespace: "shop", Name: "shop", Reason: "ReasonWarningEventStorm", Count: 3, Since: since},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var many anomaly.Summary
	for n := range 50 {
		many.Worst = append(many.Worst, broken("R", fmt.Sprint(n), telemetry.SeverityWarning))
	}
	if n := len(summarize(&many).Worst); n != maxWorst {
		t.Errorf("%d are named", n)
	}
}

// A critical anomaly is told at once, everything else in its time, and nothing that
// stays as it is.
func TestAnomaliesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, judged, hub := startWithAnomalies(t, &anomaly.Summary{})
		shown := func() *v1alpha1.AnomalySummary { return hub.cluster.Status.Anomalies }
		if n := hub.writes(); n != 1 || shown() == nil || *shown().Critical != 0 {
			t.Fatalf("%d writes, %v is shown; want that nothing is wrong", n, shown())
		}
		pass(t, 2*time.Second)
		web, db := broken("DeploymentUnavailable", "web", telemetry.SeverityCritical), broken("PVCLost", "db", telemetry.SeverityCritical)
		loop := broken("PodCrashLoopBackOff", "web", telemetry.SeverityWarning)
		for _, step := range []struct {
			name string
			open []telemetry.AnomalyTransition
			wait time.Duration
			at   int
			end  int
		}{
			{"a critical one", []telemetry.AnomalyTransition{web}, 20 * time.Second, 2, 2},
			{"the same again", []telemetry.AnomalyTransition{web}, 20 * time.Second, 2, 2},
			{"a warning, right after another report", []telemetry.AnomalyTransition{web, loop}, 2 * time.Second, 3, 3},
			{"another critical one instead", []telemetry.AnomalyTransition{db, loop}, 2 * time.Second, 4, 4},
			{"it is over", []telemetry.AnomalyTransition{loop}, 10 * time.Second, 4, 5},
		} {
			judged.set(openAre(step.open...))
			synctest.Wait()
			if n := hub.writes(); n != step.at {
				t.Errorf("%s: %d writes at once, want %d", step.name, n, step.at)
			}
			pass(t, step.wait)
			if n := hub.writes(); n != step.end {
				t.Errorf("%s: %d writes in the end, want %d", step.name, n, step.end)
			}
		}
		if s := shown(); *s.Critical != 0 || *s.Warning != 1 || len(s.Worst) != 1 || s.Worst[0].Rule != "PodCrashLoopBackOff" {
			t.Errorf("%+v is shown", s)
		}
	})
}

// What was known before a restart stays until it is known again, or the wait is too
// long: unset means that nobody knows.
func TestTheFirstReportWaitsForAnomalies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, judged, hub := startWithAnomalies(t, nil)
		pass(t, 5*time.Second)
		if n := hub.writes(); n != 0 {
			t.Fatalf("%d writes before anomalies are known", n)
		}
		judged.set(openAre(broken("PVCLost", "db", telemetry.SeverityCritical)))
		synctest.Wait()
		if n := hub.writes(); n != 1 || *hub.cluster.Status.Anomalies.Critical != 1 {
			t.Errorf("%d writes once they are known; want 1", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		inv, _, hub := startWithAnomalies(t, nil)
		pass(t, 16*time.Second)
		if n := hub.writes(); n != 1 || hub.cluster.Status.Anomalies != nil {
			t.Errorf("%d writes after 16 s; want one without anomalies", n)
		}
		inv.set(inventory.Snapshot{Synced: true})
		pass(t, 16*time.Second)
		if hub.cluster.Status.Anomalies != nil {
			t.Error("what nobody knows is shown as none")
		}
	})
}

func TestMoreCritical(t *testing.T) {
	of := func(transitions ...telemetry.AnomalyTransition) *v1alpha1.AnomalySummary {
		s := openAre(transitions...)
		return summarize(&s)
	}
	critical := func(from, to int) (list []telemetry.AnomalyTransition) {
		for n := from; n < to; n++ {
			list = append(list, broken("R", fmt.Sprint(n), telemetry.SeverityCritical))
		}
		return list
	}
	warning := broken("W", "w", telemetry.SeverityWarning)
	for name, tt := range map[string]struct {
		now, before *v1alpha1.AnomalySummary
		want        bool
	}{
		"nothing is known":                      {nil, of(warning), false},
		"the first look finds none":             {of(warning), nil, false},
		"the first look finds one":              {of(critical(0, 1)...), nil, true},
		"one more":                              {of(critical(0, 2)...), of(critical(0, 1)...), true},
		"one beyond those that are named":       {of(critical(0, 31)...), of(critical(0, 30)...), true},
		"another one":                           {of(critical(1, 2)...), of(critical(0, 1)...), true},
		"a warning became critical":             {of(broken("W", "w", telemetry.SeverityCritical)), of(warning), true},
		"the same":                              {of(critical(0, 2)...), of(critical(0, 2)...), false},
		"one less":                              {of(critical(0, 1)...), of(critical(0, 2)...), false},
		"one less, another one takes its place": {of(critical(1, 30)...), of(critical(0, 30)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := moreCritical(tt.now, tt.before); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
