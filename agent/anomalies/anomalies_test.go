// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestRaisedAtOnceAndClearedInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t), node("node-1"), pod("web-1", ""), claim("data", "Bound"))
		a.wants()
		if s, known := a.Summary(); !known || s.Critical+s.Warning+s.Info+s.Pending != 0 {
			t.Errorf("nothing is wrong and the summary says %+v, %t", s, known)
		}
		before := time.Now()
		a.see(claim("data", "Lost"))
		lines := a.sink.all()
		a.wants("raised PVCLost data")
		if !lines[0].at.Equal(before) {
			t.Errorf("raised at %s, seen at %s", lines[0].at, before)
		}
		s, _ := a.after(summaryPause).Summary()
		if s.Critical != 1 || len(s.Worst) != 1 || s.Worst[0].Rule != "PVCLost" {
			t.Errorf("the summary says %+v", s)
		}
		a.see(claim("data", "Bound")).wants("cleared PVCLost data")

		// What has to last is told by a timer alone.
		a.see(pod("web-1", "CrashLoopBackOff")).wants("pending PodCrashLoopBackOff web-1")
		a.after(time.Minute - time.Millisecond).wants().after(time.Millisecond).wants("raised PodCrashLoopBackOff web-1")
		a.see(pod("web-1", "")).after(10*time.Minute - time.Millisecond).wants().after(time.Millisecond).wants("cleared PodCrashLoopBackOff web-1")
	})
}

// Before everything has been listed nothing is known, and nothing is told.
func TestNothingIsToldBeforeEverythingIsListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := begin(t, fileIn(t))
		service := &facts.Service{Meta: about(facts.KindService, "web"), Type: "ClusterIP", Selector: map[string]string{"app": "web"}}
		a.see(claim("data", "Lost"), service).after(time.Hour).wants()
		if _, known := a.Summary(); known {
			t.Error("there is a summary already")
		}
		a.see(&facts.EndpointSlice{Meta: about(facts.KindEndpointSlice, "web-1"), Service: "web", Ready: 1})
		a.Synced(nil)
		synctest.Wait()
		a.wants("raised PVCLost data").after(time.Hour).wants()
		<-a.Changed()
		if s, known := a.Summary(); !known || s.Critical != 1 {
			t.Errorf("the summary says %+v, %t", s, known)
		}
	})
}

// Nothing is concluded from what may not be read, until it may.
func TestKindsThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := begin(t, fileIn(t))
		service := &facts.Service{Meta: about(facts.KindService, "web"), Type: "ClusterIP", Selector: map[string]string{"app": "web"}}
		a.see(service)
		a.Synced([]string{facts.KindEndpointSlice})
		a.after(time.Hour).wants()
		a.Readable(facts.KindEndpointSlice, true)
		a.after(10 * time.Minute).wants("raised ServiceNoEndpoints web")
		a.Readable(facts.KindEndpointSlice, false)
		a.after(10 * time.Minute).wants()
	})
}

func TestTheWorstAreSummarized(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t))
		for n := range 30 {
			a.Observe(claim(fmt.Sprintf("data-%02d", n), "Lost"))
		}
		a.Observe(node("node-1", "DiskPressure"))
		a.after(2 * time.Minute)
		s, _ := a.Summary()
		if s.Critical != 30 || s.Warning != 1 || len(s.Worst) != worst || s.Worst[0].Object.Name == "node-1" {
			t.Errorf("%d critical, %d warnings, %d named", s.Critical, s.Warning, len(s.Worst))
		}
		select {
		case <-a.Changed():
		default:
			t.Error("nobody was told of the summary")
		}
		// A count that grows tells nobody, and is shown nonetheless.
		a.see(pod("web-1", "CrashLoopBackOff"), pod("web-2", "CrashLoopBackOff"), pod("web-3", "CrashLoopBackOff")).after(2 * time.Minute)
		for n := range 30 {
			a.Observe(claim(fmt.Sprintf("data-%02d", n), "Bound"))
		}
		a.see(pod("web-4", "CrashLoopBackOff")).after(10 * time.Second)
		s, _ = a.Summary()
		if s.Critical != 0 || s.Warning != 2 || s.Worst[1].Count != 4 {
			t.Errorf("the summary says %+v", s)
		}
	})
}

func TestRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		killed, looping := pod("web-1", "OOMKilled"), pod("web-2", "CrashLoopBackOff")
		a := start(t, file, node("node-1"))
		a.see(killed, looping, claim("data", "Lost")).after(2 * time.Minute)
		a.wants("raised PodOOMKilled web-1", "pending PodCrashLoopBackOff web-2", "raised PVCLost data", "raised PodCrashLoopBackOff web-2")
		a.stop()

		a.after(time.Minute)
		rebooted := node("node-1")
		rebooted.BootID = "boot-2"
		b := start(t, file, rebooted, killed, looping)
		b.wants("raised NodeRebooted node-1", "cleared PVCLost data").after(time.Second)
		if s, _ := b.Summary(); s.Warning != 2 || s.Info != 1 {
			t.Errorf("after the restart the summary says %+v", s)
		}
		b.stop()
		start(t, file, rebooted, killed, looping).wants()
	})
}

// An agent that never got to see its cluster must not make old news of what
// happened before it.
func TestStoppedBeforeEverythingIsListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		start(t, file, claim("data", "Lost")).wants("raised PVCLost data").stop()
		a := begin(t, file)
		a.after(time.Minute)
		job := &facts.Job{Meta: about(facts.KindJob, "report"), Conditions: []facts.Condition{{Type: "Failed", Status: facts.True, Reason: "BackoffLimitExceeded", Since: time.Now()}}}
		a.after(30 * time.Minute).see(claim("data", "Lost")).wants()
		a.stop()
		start(t, file, claim("data", "Lost"), job).wants("raised JobFailed report")
	})
}

func TestStateIsKeptWhileItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t))
		a.see(claim("data", "Lost")).after(savePause)
		m, err := load(a.file)
		if err != nil || m == nil || len(m.Engine.Incidents) != 1 {
			t.Fatalf("%v: %+v is remembered", err, m)
		}
		saved := m.SavedAt
		a.after(2 * saveInterval)
		if m, err = load(a.file); err != nil || !m.SavedAt.After(saved) {
			t.Errorf("%v: it is from %s still", err, m.SavedAt)
		}
	})
}

func TestADamagedFileIsPutAside(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON": "{", "a newer agent's": `{"version":2,"engine":{}}`, "half of it": `{"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				file := fileIn(t)
				start(t, file, claim("data", "Lost")).wants("raised PVCLost data").stop()
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				a := start(t, file, claim("data", "Lost")).wants("raised PVCLost data")
				a.stop()
				if put, err := os.ReadFile(file + damagedSuffix); err != nil || string(put) != content {
					t.Errorf("%v: the old file is %q", err, put)
				}
				start(t, file, claim("data", "Lost")).wants()
			})
		})
	}
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		if err := os.WriteFile(strings.TrimSuffix(file, "/state/anomalies.json")+"/state", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a := start(t, file).see(claim("data", "Lost")).wants("raised PVCLost data")
		a.after(time.Minute).see(claim("data", "Bound")).wants("cleared PVCLost data")
	})
}

// Nothing is told twice to a sink that was away, and nothing is forgotten.
func TestASinkThatRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		a := start(t, file)
		a.sink.refuse(errSink)
		a.see(claim("a", "Lost"), claim("b", "Lost")).after(time.Minute).see(claim("a", "Bound")).after(time.Minute).wants()
		a.sink.refuse(nil)
		a.after(shipRetryMax).wants("raised PVCLost a", "raised PVCLost b", "cleared PVCLost a")
		a.sink.refuse(errSink)
		a.see(claim("b", "Bound")).wants().stop()

		a = start(t, file).wants("cleared PVCLost b")
		calls := a.sink.calls
		a.after(time.Hour)
		if a.sink.calls != calls {
			t.Errorf("an idle cluster makes %d calls an hour", a.sink.calls-calls)
		}
	})
}

func TestAHubThatMissedSomethingIsToldAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t), claim("a", "Lost"), claim("b", "Lost"), pod("web-1", "CrashLoopBackOff"))
		a.see(claim("a", "Bound"))
		a.sink.texts()
		a.Resync(telemetry.StreamEvents)
		a.after(time.Second).wants()
		a.Resync(telemetry.StreamAnomalies)
		synctest.Wait()
		told := a.sink.texts()
		if len(told) != 3 || told[0] != "cleared PVCLost a" || !contains(told, "raised PVCLost b") || !contains(told, "pending PodCrashLoopBackOff web-1") {
			t.Errorf("told again: %q", told)
		}
	})
}

// While the API server is away no heartbeat can be heard, and none is missed.
func TestSilenceOfTheAPIServer(t *testing.T) {
	lease := func(name string) *facts.Lease {
		m := about(facts.KindLease, name)
		m.Namespace = "kube-node-lease"
		return &facts.Lease{Meta: m, Renewed: time.Now()}
	}
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t), node("node-1"), node("node-2"), lease("node-1"), lease("node-2"))
		a.after(30 * time.Second)
		a.Answering(false)
		a.after(time.Hour).wants()
		a.Answering(true)
		a.after(30 * time.Second).see(lease("node-1")).after(30 * time.Second).wants("raised NodeLeaseStale node-2")
		a.Answering(false)
		a.after(time.Hour).wants()
		a.Answering(true)
		for range 3 {
			a.see(lease("node-1"), lease("node-2")).after(30 * time.Second)
		}
		a.wants("cleared NodeLeaseStale node-2")
	})
}

// What an engine held back in a storm is told by the next one, and the storm ends.
func TestARestartInAStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := fileIn(t)
		a := start(t, file)
		var lost []facts.Object
		for n := range anomaly.StormLimit + 50 {
			lost = append(lost, claim(fmt.Sprintf("data-%03d", n), "Lost"))
		}
		a.see(lost...)
		if told := a.sink.texts(); len(told) <= anomaly.StormLimit || !contains(told, "raised AnomalyStorm") {
			t.Fatalf("%d transitions were told", len(told))
		}
		a.stop()
		b := start(t, file, lost...)
		b.after(5 * time.Minute)
		told := b.sink.texts()
		raised := 0
		for _, text := range told {
			if strings.HasPrefix(text, "raised PVCLost") {
				raised++
			}
		}
		if raised != 50 || !contains(told, "cleared AnomalyStorm") {
			t.Errorf("%d were told in the end: %q", raised, told)
		}
	})
}

func TestSamplesOfNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := start(t, fileIn(t), node("node-1"))
		for seq := range uint64(64) {
			a.ObserveSample(&telemetry.NodeSample{
				Node: "node-1", BootID: "boot-1", CollectorSeq: seq + 1, Interval: 15*time.Second + 3*time.Millisecond,
				Series: []telemetry.Series{{Metric: telemetry.MetricCPUUsage}}, Values: []float64{97},
			}, time.Now(), time.Now())
			a.after(15 * time.Second)
		}
		a.wants("raised NodeCPUHigh node-1")
	})
}

func TestRecentRemembersTheLastEndOfEach(t *testing.T) {
	now := time.Now()
	r := newRecent()
	note := func(name string, state telemetry.AnomalyState) {
		x := transition(name, state, now)
		x.Evidence = []telemetry.Label{{Key: "k", Value: "v"}}
		r.note(&x)
	}
	for range 10 * maxRecent {
		note("flaps", telemetry.AnomalyRaised)
		note("flaps", telemetry.AnomalyCleared)
	}
	note("a", telemetry.AnomalyCleared)
	note("b", telemetry.AnomalyCleared)
	note("a", telemetry.AnomalyRaised)
	var got []string
	for _, x := range r.all() {
		got = append(got, fmt.Sprintf("%s %s %d", x.State, x.Fingerprint, len(x.Evidence)))
	}
	if diff := cmp.Diff([]string{"cleared flaps 0", "cleared b 0"}, got); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	for n := range 2 * maxRecent {
		note(fmt.Sprint(n), telemetry.AnomalyCleared)
	}
	if all := r.all(); len(all) != maxRecent || len(r.cleared) != maxRecent || all[0].Fingerprint != fmt.Sprint(maxRecent) {
		t.Errorf("%d are remembered", len(all))
	}
}
