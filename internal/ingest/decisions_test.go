// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	limits := Limits{MemoryBytes: 1000, InFlight: 100, ClusterInFlight: 8}
	cases := map[string]struct {
		own, all load
		clusters int
		bytes    int64
		want     admission
	}{
		"empty":                         {bytes: 900, want: admitted},
		"below half a cluster may grow": {own: load{3, 400}, all: load{3, 400}, clusters: 1, bytes: 100, want: admitted},
		"above half only its share":     {own: load{3, 400}, all: load{3, 400}, clusters: 1, bytes: 101, want: clusterBusy},
		"above half within its share":   {own: load{1, 100}, all: load{5, 600}, clusters: 2, bytes: 100, want: admitted},
		"newcomer above half":           {all: load{8, 900}, clusters: 3, bytes: 100, want: admitted},
		"newcomer when full":            {all: load{8, 950}, clusters: 3, bytes: 100, want: hubBusy},
		"too many of one cluster":       {own: load{8, 8}, all: load{8, 8}, clusters: 1, bytes: 1, want: clusterBusy},
		"too many of all":               {own: load{1, 1}, all: load{100, 100}, clusters: 90, bytes: 1, want: hubBusy},
		"more than its share of many":   {own: load{2, 2}, all: load{60, 60}, clusters: 50, bytes: 1, want: clusterBusy},
	}
	for name, tc := range cases {
		if got := decide(limits, tc.own, tc.all, tc.clusters, tc.bytes); got != tc.want {
			t.Errorf("%s: got %d, want %d", name, got, tc.want)
		}
	}
}

// However greedy the others are, a cluster with nothing in flight finds room: those
// above half never take the rest.
func TestDecideLeavesRoom(t *testing.T) {
	limits := Limits{MemoryBytes: 1000, InFlight: 100, ClusterInFlight: 50}
	b := newBudget(limits)
	for range 1000 {
		b.acquire("noisy", 10)
	}
	if used := b.inFlight().bytes; used > 500 {
		t.Errorf("one cluster took %d of 1000", used)
	}
	for i := range 20 {
		if verdict := b.acquire(fmt.Sprintf("quiet-%d", i), 10); verdict != admitted {
			t.Errorf("cluster %d got %d", i, verdict)
		}
	}
}

func TestGate(t *testing.T) {
	var g gate
	if ok, probe, _ := g.enter(noon); !ok || probe {
		t.Fatal("a new gate is not open")
	}
	if !g.report(false, false, noon) {
		t.Fatal("the gate did not close")
	}
	if ok, _, wait := g.enter(noon); ok || wait != firstPause {
		t.Fatalf("the gate is open, or the wait is %s", wait)
	}
	now := noon
	for range 10 {
		now = now.Add(longestPause)
		ok, probe, _ := g.enter(now)
		if !ok || !probe {
			t.Fatal("nobody may probe after the pause")
		}
		if ok, _, _ := g.enter(now); ok {
			t.Fatal("two probe at once")
		}
		if g.report(false, probe, now) {
			t.Fatal("a failing probe changed the gate")
		}
		g.leave()
	}
	if g.pause != longestPause {
		t.Errorf("the pause is %s, want %s", g.pause, longestPause)
	}
	now = now.Add(longestPause)
	if _, probe, _ := g.enter(now); !probe || !g.report(true, true, now) {
		t.Fatal("a good probe did not open the gate")
	}
	g.leave()
	if ok, probe, _ := g.enter(now); !ok || probe {
		t.Fatal("the gate is not open again")
	}
}

func TestWindow(t *testing.T) {
	w := window{retention: history.DefaultRetention(), now: noon}
	sample := func(at time.Time) telemetry.Record {
		return telemetry.Record{Seq: 1, Time: at, Payload: &telemetry.NodeSample{Node: "n"}}
	}
	slice := func(begin, at time.Time) telemetry.Record {
		return telemetry.Record{Seq: 1, Time: at, Payload: &telemetry.SLISlice{Start: begin}}
	}
	cases := map[string]struct {
		record telemetry.Record
		want   QuarantineReason
	}{
		"now":                        {sample(noon), ""},
		"five minutes ahead":         {sample(noon.Add(5 * time.Minute)), ""},
		"more than that":             {sample(noon.Add(5*time.Minute + time.Millisecond)), QuarantineFuture},
		"48 hours ago":               {sample(noon.Add(-48 * time.Hour)), ""},
		"longer ago":                 {sample(noon.Add(-48*time.Hour - time.Millisecond)), QuarantineExpired},
		"other streams keep longer":  {slice(noon.Add(-100*24*time.Hour), noon), ""},
		"a slice counts by start":    {slice(noon.Add(-200*24*time.Hour), noon), QuarantineExpired},
		"an event counts by itself":  {telemetry.Record{Seq: 1, Time: noon, Payload: &telemetry.Event{LastSeen: noon.Add(time.Hour)}}, QuarantineFuture},
		"inventory":                  {telemetry.Record{Seq: 1, Time: noon.Add(-31 * 24 * time.Hour), Payload: &telemetry.ObjectDelta{}}, QuarantineExpired},
		"anomalies":                  {telemetry.Record{Seq: 1, Time: noon.Add(time.Hour), Payload: &telemetry.AnomalyTransition{}}, QuarantineFuture},
		"command output":             {telemetry.Record{Seq: 1, Time: noon.Add(time.Hour), Payload: &telemetry.CommandOutput{}}, QuarantineFuture},
		"a gap has no time to check": {telemetry.Record{Seq: 1, Time: noon.Add(time.Hour), Payload: &telemetry.Gap{From: 1, To: 1}}, ""},
	}
	for name, tc := range cases {
		got, why := w.check(&tc.record)
		if got != tc.want || (why == "") != (tc.want == "") {
			t.Errorf("%s: got %q (%s), want %q", name, got, why, tc.want)
		}
	}
}

func TestRefusalsKeepLittle(t *testing.T) {
	var q refusals
	big := strings.Repeat("x", 1<<20)
	for seq := range uint64(2000) {
		q.addRecord(QuarantineFuture, &telemetry.Record{Seq: seq + 1, Payload: &telemetry.Event{Message: big}}, "why")
	}
	total := 0
	for _, r := range q.records {
		if len(r.Raw) > history.MaxRefusedBytes {
			t.Fatalf("kept %d bytes of one record", len(r.Raw))
		}
		total += len(r.Raw)
	}
	if total != keptRaw || len(q.records) != 2000 {
		t.Errorf("kept %d bytes of %d records", total, len(q.records))
	}
}

func TestRefusalCounts(t *testing.T) {
	var q refusals
	q.add(QuarantineMalformed, history.Refused{FirstSeq: 9})
	q.add(QuarantineFuture, history.Refused{FirstSeq: 2})
	q.add(QuarantineExpired, history.Refused{FirstSeq: 5})
	for quarantined, want := range map[int]string{
		0: "map[]", 1: "map[malformed:1]", 2: "map[expired:1 malformed:1]", 3: "map[expired:1 future:1 malformed:1]", 5: "map[expired:1 future:1 malformed:1 store:2]",
	} {
		if got := fmt.Sprint(q.counts(quarantined)); got != want {
			t.Errorf("%d: got %s, want %s", quarantined, got, want)
		}
	}
}

func TestSkew(t *testing.T) {
	var e skewEstimator
	if _, ok := e.estimate(noon); ok {
		t.Fatal("something is known of a clock that nobody saw")
	}
	now := noon
	for i := range 60 { // an agent an hour ahead whose batches take 1 to 7 s
		now = now.Add(10 * time.Second)
		e.observe(now.Add(time.Hour-time.Duration(1+i%7)*time.Second), now)
	}
	if s, _ := e.estimate(now); s.Ahead != time.Hour-time.Second || !s.Observed.Equal(now) || s.Batches < 30 {
		t.Errorf("got %+v", s)
	}
	for range 60 { // the clock is corrected
		now = now.Add(10 * time.Second)
		e.observe(now.Add(-time.Second), now)
	}
	if s, _ := e.estimate(now); s.Ahead != -time.Second {
		t.Errorf("a correction shows as %+v", s)
	}
	if _, ok := e.estimate(now.Add(10 * time.Minute)); ok {
		t.Error("an old observation still counts")
	}
}

// One node with a wrong clock is not the cluster.
func TestNewestTime(t *testing.T) {
	var records []telemetry.Record
	for i := range 5 {
		for step := range 3 {
			at := noon.Add(time.Duration(step) * 15 * time.Second)
			if i == 4 {
				at = at.Add(1000 * time.Hour)
			}
			records = append(records, telemetry.Record{Seq: 1, Time: at, Payload: &telemetry.NodeSample{Node: fmt.Sprint(i)}})
		}
	}
	if got, ok := newestTime(records); !ok || !got.Equal(noon.Add(30*time.Second)) {
		t.Errorf("got %s", got)
	}
	mixed := []telemetry.Record{event(1, noon, ""), event(2, noon.Add(time.Second), ""), event(3, noon, "")}
	if got, ok := newestTime(mixed); !ok || !got.Equal(noon.Add(time.Second)) {
		t.Errorf("got %s", got)
	}
	if _, ok := newestTime(nil); ok {
		t.Error("nothing has a newest time")
	}
}

func TestCensus(t *testing.T) {
	var c census
	c.roll(noon)
	for i := range uint64(5) {
		if !c.admit(nameRoute, i, 5) {
			t.Fatalf("name %d is refused", i)
		}
	}
	if c.admit(nameRoute, 5, 5) || !c.admit(nameRoute, 3, 5) || !c.admit(nameNode, 5, 5) {
		t.Error("the limit does not hold, or holds for names that are known")
	}
	c.roll(noon.Add(namesSpan))
	if !c.admit(nameRoute, 3, 5) || c.admit(nameRoute, 6, 5) {
		t.Error("names of the last half hour do not count")
	}
	c.roll(noon.Add(2 * namesSpan))
	if !c.admit(nameRoute, 6, 5) {
		t.Error("names are never forgotten")
	}
	c.roll(noon.Add(10 * namesSpan))
	if len(c.current[nameRoute])+len(c.earlier[nameRoute]) != 0 {
		t.Error("names outlive a long pause")
	}
}

func TestCountsEveryKindOfName(t *testing.T) {
	series := func(label string) []telemetry.Series { return []telemetry.Series{{Metric: 1, Label: label}} }
	payloads := map[string]func(i int) telemetry.Payload{
		"pods": func(i int) telemetry.Payload {
			return &telemetry.ObjectDelta{Op: telemetry.OpUpsert, Kind: "Pod", UID: fmt.Sprint(i)}
		},
		"events": func(i int) telemetry.Payload {
			return &telemetry.Event{Regarding: telemetry.ObjectRef{Name: fmt.Sprint(i)}}
		},
		"nodes":  func(i int) telemetry.Payload { return &telemetry.NodeSample{Node: fmt.Sprint(i)} },
		"series": func(i int) telemetry.Payload { return &telemetry.NodeSample{Node: "n", Series: series(fmt.Sprint(i))} },
		"routes": func(i int) telemetry.Payload {
			return &telemetry.SLISlice{Route: telemetry.RouteKey{Name: fmt.Sprint(i)}}
		},
		"anomalies":  func(i int) telemetry.Payload { return &telemetry.AnomalyTransition{Fingerprint: fmt.Sprint(i)} },
		"one series": func(int) telemetry.Payload { return &telemetry.NodeSample{Node: "n", Series: series("same")} },
		"deletes": func(i int) telemetry.Payload {
			return &telemetry.ObjectDelta{Op: telemetry.OpDelete, UID: fmt.Sprint(i)}
		},
		"gaps": func(int) telemetry.Payload { return &telemetry.Gap{} },
	}
	limits := Names{Objects: 7, Nodes: 7, SeriesSets: 7, Routes: 7, Anomalies: 7}
	for name, payload := range payloads {
		want := 7
		switch name {
		case "one series", "deletes", "gaps":
			want = 50
		}
		var records []telemetry.Record
		for i := range 50 {
			records = append(records, telemetry.Record{Seq: uint64(i + 1), Time: noon, Payload: payload(i)})
		}
		var q refusals
		s := &clusterState{}
		kept := s.countNames(records, &q, limits, noon)
		if len(kept) != want || len(kept)+len(q.records) != 50 {
			t.Errorf("%s: kept %d and set %d aside, want %d kept", name, len(kept), len(q.records), want)
		}
	}
}

// Every reason has a status, and every one that asks to wait says for how long.
func TestReasonsAreComplete(t *testing.T) {
	for reason, kind := range reasons {
		w := httptest.NewRecorder()
		a := because(reason)
		if err := a.write(w); err != nil {
			t.Fatal(err)
		}
		wait := w.Code == http.StatusTooManyRequests || w.Code == http.StatusServiceUnavailable
		if w.Code != kind.Status || wait != (w.Header().Get("Retry-After") != "") || (w.Code == http.StatusOK) != (kind.Message == "") {
			t.Errorf("%s: %d with %v", reason, w.Code, w.Header())
		}
		if w.Code != http.StatusOK && !bytes.Contains(w.Body.Bytes(), []byte(reason)) {
			t.Errorf("%s: %s", reason, w.Body)
		}
	}
}

func TestForgetsTheIdlestCluster(t *testing.T) {
	var forgotten []string
	c := newClusters(Limits{Clusters: 2, ClusterRequests: Rate{PerSecond: 1, Burst: 1}, ClusterBytes: Rate{PerSecond: 1, Burst: 1}}, func(name string) { forgotten = append(forgotten, name) })
	c.of("a", noon)
	c.of("b", noon.Add(time.Second))
	c.of("a", noon.Add(2*time.Second))
	c.of("c", noon.Add(3*time.Second))
	if fmt.Sprint(forgotten) != "[b]" || c.find("a") == nil || c.find("b") != nil {
		t.Errorf("forgot %v", forgotten)
	}
}

func TestConfigIsChecked(t *testing.T) {
	limits, timeouts := DefaultLimits(), DefaultTimeouts()
	if err := limits.check(); err != nil {
		t.Error(err)
	}
	if err := timeouts.check(); err != nil {
		t.Error(err)
	}
	limits.MemoryBytes = maxBatchBytes
	timeouts.Idle = 0
	if limits.check() == nil || timeouts.check() == nil {
		t.Error("a server could be made that cannot take a batch")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server could be made of nothing")
	}
}
