// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

func before(d time.Duration) time.Time { return noon.Add(-d) }

// arrived is the view of a cluster of which a batch was stored so long ago.
func arrived(ago time.Duration) *TelemetryView {
	return &TelemetryView{
		State: TelemetryKnown, Received: Received{LastStored: before(ago)},
		Asked: noon, StorableSince: before(24 * time.Hour), NextCheck: noon.Add(time.Minute),
	}
}

func refusing(stored, refused time.Duration) *TelemetryView {
	view := arrived(stored)
	view.Received.LastRefused, view.Received.Refusal = before(refused), "Mismatch:\n other content"
	return view
}

// online is a cluster that has been connected for a day.
func online(view *TelemetryView) TelemetryInput {
	return TelemetryInput{View: view, Connected: true, ConnectedSince: before(24 * time.Hour)}
}

func reported(kind string, status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: kind, Status: status, Reason: reason, Message: message}}
}

func TestJudgeTelemetry(t *testing.T) {
	const flowing, degraded = v1alpha1.ClusterConditionMetricsFlowing, v1alpha1.ClusterConditionDegraded
	with := func(in TelemetryInput, change func(*TelemetryInput)) TelemetryInput {
		change(&in)
		return in
	}
	was := func(reason string, status metav1.ConditionStatus) func(*TelemetryInput) {
		return func(in *TelemetryInput) { in.Previous = reported(flowing, status, reason, "as before") }
	}
	measured := func(in *TelemetryInput) { in.Measured = true }
	never := arrived(0)
	never.Received.LastStored = time.Time{}
	unsure, away := &TelemetryView{State: TelemetryUnsure}, &TelemetryView{State: TelemetryAway}
	fails := func(in *TelemetryInput) {
		in.Delivery = &v1alpha1.AgentDelivery{FailingSince: new(metav1.NewTime(before(time.Hour))), Problem: "connection refused"}
	}
	for name, c := range map[string]struct {
		in       TelemetryInput
		flowing  string
		degraded string
		message  string
	}{
		"no history":                         {in: online(nil)},
		"stored just now":                    {in: online(arrived(time.Second)), flowing: "True/SamplesFresh"},
		"nothing new for hours, nothing due": {in: online(arrived(10 * time.Hour)), flowing: "True/SamplesFresh"},
		"nothing ever stored":                {in: online(never), flowing: "Unknown/AwaitingTelemetry"},
		"not connected": {
			in: with(online(refusing(time.Hour, 0)), func(in *TelemetryInput) { in.Connected = false }), flowing: "Unknown/NotConnected",
		},
		"not connected while the database is away, which is no harm": {
			in: with(online(away), func(in *TelemetryInput) { in.Connected = false }), flowing: "Unknown/NotConnected",
		},

		"refused after something was stored":    {in: online(refusing(time.Minute, time.Second)), flowing: "False/IngestRejected", message: "delivers: Mismatch: other content"},
		"refused before anything was stored":    {in: online(func() *TelemetryView { v := refusing(0, 0); v.Received.LastStored = time.Time{}; return v }()), flowing: "False/IngestRejected"},
		"stored after it was refused":           {in: online(refusing(time.Second, time.Minute)), flowing: "True/SamplesFresh"},
		"one stream refused, another stored":    {in: with(online(refusing(time.Second, time.Minute)), was("IngestRejected", "False")), flowing: "False/IngestRejected"},
		"last refused too long ago to count":    {in: with(online(refusing(time.Second, refusalHold)), was("IngestRejected", "False")), flowing: "True/SamplesFresh"},
		"refused long ago, and nothing since":   {in: with(online(refusing(3*time.Hour, 2*time.Hour)), was("IngestRejected", "False")), flowing: "False/IngestRejected"},
		"refused without a reason that is told": {in: online(func() *TelemetryView { v := refusing(1, 0); v.Received.Refusal = ""; return v }()), flowing: "False/IngestRejected", message: "what the agent delivers"},

		"the agent cannot deliver": {
			in: with(online(arrived(time.Hour)), fails), flowing: "False/SamplesStale",
			message: "since 2026-01-02T11:00:00Z by its clock, and keeps its telemetry on disk: connection refused",
		},
		"the agent could never deliver": {in: with(online(never), fails), flowing: "False/SamplesStale"},
		"the agent has only a backlog": {
			in: with(online(arrived(time.Second)), func(in *TelemetryInput) {
				in.Delivery = &v1alpha1.AgentDelivery{BacklogSeconds: 3600, DroppedRecords: 40}
			}), flowing: "True/SamplesFresh",
		},

		"collectors measure, all is stored":     {in: with(online(arrived(samplesGrace)), measured), flowing: "True/SamplesFresh"},
		"collectors measure, nothing is stored": {in: with(online(arrived(samplesGrace+1)), measured), flowing: "False/SamplesStale", message: "more than 5m0s"},
		"collectors measure, the cluster has just come back": {
			in: with(online(arrived(time.Hour)), func(in *TelemetryInput) { in.Measured, in.ConnectedSince = true, before(time.Minute) }), flowing: "True/SamplesFresh",
		},
		"collectors measure, the database has just come back": {
			in: with(online(func() *TelemetryView { v := arrived(time.Hour); v.StorableSince = before(time.Minute); return v }()), measured), flowing: "True/SamplesFresh",
		},
		"collectors measure, silent before and after a restart of the hub": {
			in: with(online(func() *TelemetryView { v := arrived(time.Hour); v.StorableSince = before(time.Minute); return v }()), func(in *TelemetryInput) {
				measured(in)
				was("SamplesStale", "False")(in)
			}), flowing: "False/SamplesStale",
		},
		"collectors measure, silent before and no more": {
			in: with(with(online(arrived(time.Second)), measured), was("SamplesStale", "False")), flowing: "True/SamplesFresh",
		},

		"nobody knows for a moment":                {in: with(online(unsure), was("SamplesFresh", "True")), flowing: "True/SamplesFresh", message: "as before"},
		"nobody knows yet":                         {in: online(unsure)},
		"nobody knows, the cluster has come back":  {in: with(online(unsure), was("NotConnected", "Unknown")), flowing: "Unknown/AwaitingTelemetry"},
		"the database is away":                     {in: with(online(away), was("SamplesFresh", "True")), flowing: "Unknown/DatabaseUnavailable", degraded: "True/DatabaseUnavailable"},
		"the database was away, which may be over": {in: with(online(unsure), func(in *TelemetryInput) { in.Previous = reported(degraded, "True", "DatabaseUnavailable", "as before") }), degraded: "True/DatabaseUnavailable"},
		"the database is back":                     {in: with(online(arrived(1)), func(in *TelemetryInput) { in.Previous = reported(degraded, "True", "DatabaseUnavailable", "as before") }), flowing: "True/SamplesFresh"},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := JudgeTelemetry(c.in, noon)
			show := func(kind string) string {
				found := meta.FindStatusCondition(verdict.Conditions, kind)
				if found == nil {
					return ""
				}
				if found.Message == "" || strings.HasSuffix(found.Message, ".") || strings.Contains(found.Message, "\n") {
					t.Errorf("%s has the message %q", kind, found.Message)
				}
				return string(found.Status) + "/" + found.Reason
			}
			if got := show(flowing); got != c.flowing {
				t.Errorf("MetricsFlowing is %q, want %q", got, c.flowing)
			}
			if got := show(degraded); got != c.degraded {
				t.Errorf("Degraded is %q, want %q", got, c.degraded)
			}
			if found := meta.FindStatusCondition(verdict.Conditions, flowing); c.message != "" && !strings.HasSuffix(found.Message, c.message) {
				t.Errorf("the message is %q, want the end %q", found.Message, c.message)
			}
			// What was decided stays while nothing happens.
			again := c.in
			again.Previous = verdict.Conditions
			for _, condition := range JudgeTelemetry(again, noon.Add(time.Minute)).Conditions {
				first := meta.FindStatusCondition(verdict.Conditions, condition.Type)
				if first == nil || *first != condition {
					t.Errorf("changed by itself: %v, then %v", first, condition)
				}
			}
		})
	}
}

func TestWordsOfOthersAreBounded(t *testing.T) {
	view := refusing(time.Minute, 0)
	view.Received.Refusal = strings.Repeat("é\n", 10_000)
	verdict := JudgeTelemetry(online(view), noon)
	if n := len(verdict.Conditions[0].Message); n > maxReason+100 {
		t.Errorf("a message of %d bytes", n)
	}
}

func TestTelemetryNeverTouchesReady(t *testing.T) {
	fails := metav1.ConditionFalse
	for name, conditions := range map[string][]metav1.Condition{
		"rejected":  reported(v1alpha1.ClusterConditionMetricsFlowing, fails, v1alpha1.ClusterReasonIngestRejected, "m"),
		"degraded":  reported(v1alpha1.ClusterConditionDegraded, metav1.ConditionTrue, v1alpha1.ClusterReasonDatabaseUnavailable, "m"),
		"skewed":    reported(v1alpha1.ClusterConditionClockSynced, fails, v1alpha1.ClusterReasonClockSkew, "m"),
		"no record": nil,
	} {
		mc := &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 1}}
		mc.Status.Conditions = reported(v1alpha1.ClusterConditionAPIServerHealthy, metav1.ConditionTrue, v1alpha1.ClusterReasonLivezOK, "m")
		verdict := healthy(noon)
		verdict.Telemetry.Conditions = conditions
		written := asWritten(mc, BuildReport(mc, Facts{Verdict: verdict}, noon))
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ClusterConditionAvailable} {
			if !meta.IsStatusConditionTrue(written.Status.Conditions, kind) {
				t.Errorf("%s: %s is not True", name, kind)
			}
		}
		if got := progress(t, written); got != "Current" {
			t.Errorf("%s: kstatus %s", name, got)
		}
		// Without history, nothing of a former run stays.
		if again := BuildReport(written, Facts{Verdict: healthy(noon)}, noon); again.Equal(ReportOf(&written.Status)) != (conditions == nil) {
			t.Errorf("%s: a condition of a former run would stay, or nothing would be written again", name)
		}
	}
}

func TestRelevantDelivery(t *testing.T) {
	cluster := func(delivery *v1alpha1.AgentDelivery) *v1alpha1.ManagedCluster {
		mc := &v1alpha1.ManagedCluster{}
		mc.Status.Agent = &v1alpha1.AgentInfo{Version: "v1.0.0", Delivery: delivery}
		return mc
	}
	since := new(metav1.NewTime(noon))
	failing := cluster(&v1alpha1.AgentDelivery{FailingSince: since, Problem: "a"})
	for name, c := range map[string]struct {
		before, after *v1alpha1.ManagedCluster
		want          bool
	}{
		"nothing":            {cluster(nil), cluster(nil), false},
		"a larger backlog":   {cluster(&v1alpha1.AgentDelivery{BacklogSeconds: 60}), cluster(&v1alpha1.AgentDelivery{BacklogSeconds: 300, DroppedRecords: 1}), false},
		"it fails":           {cluster(nil), failing, true},
		"it works":           {failing, cluster(nil), true},
		"it fails otherwise": {failing, cluster(&v1alpha1.AgentDelivery{FailingSince: since, Problem: "b"}), true},
	} {
		if got := relevantChange(c.before, c.after); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
