// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func testEvents(f *fixture) {
	now := f.clock.Now()
	at := func(i int) time.Time { return now.Add(time.Duration(i) * time.Second) }
	last := now.Add(-time.Minute)
	f.send(clusterA, telemetry.StreamEvents, epoch1, Records(1, []telemetry.Payload{
		Event("a", 10, 1, last), Event("a", 12, 7, last), Event("a", 11, 5, last), Event("b", 0, 3, last), Event("b", 0, 2, last),
	}, at)...)
	f.send(clusterA, telemetry.StreamEvents, epoch1, Records(6, []telemetry.Payload{Event("a", 12, 7, last), Event("a", 9, 99, last), Event("b", 0, 4, last)}, at)...)
	read := func(q history.EventQuery) (uids []string) {
		q.Cluster, q.Range = clusterA, f.lately(time.Hour)
		page, err := f.Events(f.Context(), q)
		f.must(err)
		for _, e := range page.Items {
			uids = append(uids, fmt.Sprintf("%s=%d", e.UID, e.Count))
		}
		return uids
	}
	f.same("counts are absolute", read(history.EventQuery{}), []string{"b=4", "a=7"})
	f.same("filters that match", read(history.EventQuery{
		Namespaces: []string{"shop"}, Kinds: []string{"Pod"}, Reasons: []string{"BackOff"}, Type: telemetry.EventWarning, Name: "web-a", UID: "pod-a",
	}), []string{"a=7"})
	f.same("filters that do not", read(history.EventQuery{Namespaces: []string{"bank"}}), []string(nil))
	f.same("normal ones", read(history.EventQuery{Type: telemetry.EventNormal}), []string(nil))
	page, err := f.Events(f.Context(), history.EventQuery{Cluster: clusterA, Range: f.lately(time.Hour), Name: "web-a"})
	f.must(err)
	f.same("every field", page.Items[0], history.Event{Cluster: clusterA, Event: *Event("a", 12, 7, last)})
}

func testAnomalies(f *fixture) {
	now := f.clock.Now()
	raised, info := Transition("Crash", "f1", telemetry.AnomalyRaised, telemetry.SeverityWarning), Transition("Probe", "f2", telemetry.AnomalyPending, telemetry.SeverityInfo)
	worse := Transition("Crash", "f1", telemetry.AnomalyEscalated, telemetry.SeverityCritical)
	records := Records(1, []telemetry.Payload{raised, info, worse, Transition("Crash", "f3", telemetry.AnomalyRaised, telemetry.SeverityWarning)},
		func(i int) time.Time { return now.Add(time.Duration(i-10) * time.Second) })
	f.send(clusterA, telemetry.StreamAnomalies, epoch1, records...)
	open := func(q history.AnomalyQuery) []string {
		q.Cluster = clusterA
		anomalies := all(f, func(cursor string) (history.Page[history.Anomaly], error) {
			q.Paging = history.Paging{Limit: 1, Cursor: cursor}
			return f.OpenAnomalies(f.Context(), q)
		})
		found := make([]string, 0, len(anomalies))
		for _, a := range anomalies {
			found = append(found, a.Fingerprint+" "+a.State.String())
		}
		return found
	}
	f.same("open, the worst first", open(history.AnomalyQuery{}), []string{"f1 escalated", "f3 raised", "f2 pending"})
	f.same("critical ones", open(history.AnomalyQuery{MinSeverity: telemetry.SeverityCritical}), []string{"f1 escalated"})
	f.same("by rule", open(history.AnomalyQuery{Rules: []string{"Probe"}, Namespaces: []string{"shop"}}), []string{"f2 pending"})
	f.send(clusterA, telemetry.StreamAnomalies, epoch1, Records(5, []telemetry.Payload{
		Transition("Crash", "f1", telemetry.AnomalyCleared, telemetry.SeverityCritical), Transition("Other", "f3", telemetry.AnomalyCleared, telemetry.SeverityInfo),
	}, func(int) time.Time { return now })...)
	f.same("after clearing", open(history.AnomalyQuery{}), []string{"f3 raised", "f2 pending"})
	page, err := f.AnomalyTransitions(f.Context(), history.AnomalyQuery{Cluster: clusterA, Range: f.lately(time.Hour), Paging: history.Paging{Limit: 10}})
	f.must(err)
	f.same("transitions", len(page.Items), 6)
	f.same("every field", page.Items[3], history.Anomaly{Cluster: clusterA, At: records[2].Time, Epoch: epoch1, Seq: 3, AnomalyTransition: *worse})
}

var route = telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "web@kubernetes"}

func testSlices(f *fixture) {
	ctx := f.Context()
	hour := f.clock.Now().Truncate(time.Hour)
	random := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // test data
	want := history.SLISum{Latency: telemetry.Histogram{Bounds: []float64{0.1, 0.5, 1}, Counts: make([]float64, 4)}}
	payloads := make([]telemetry.Payload, 0, 302)
	for i := range 300 { // five hours up to the last full one
		s := Slice(route, hour.Add(time.Duration(i-300)*time.Minute), float64(random.IntN(100)), 0)
		payloads = append(payloads, s)
		want.Slices, want.Covered, want.ExpectedScrapes, want.GoodScrapes = want.Slices+1, want.Covered+1, want.ExpectedScrapes+4, want.GoodScrapes+4
		want.Total, want.SumSeconds = want.Total+s.Total, want.SumSeconds+s.SumSeconds
		want.Classes[telemetry.Class2xx] += s.Total
		want.Latency.Counts[0] += s.Total
	}
	f.send(clusterA, telemetry.StreamSLI, epoch1, Records(1, payloads, func(i int) time.Time { return hour.Add(time.Duration(i-299) * time.Minute) })...)
	q := history.SliceQuery{Cluster: clusterA, Route: route, Range: history.Range{Start: hour.Add(-6 * time.Hour), End: hour.Add(time.Hour)}}
	check := func(when string) {
		f.Helper()
		got, err := f.SumSlices(ctx, q)
		f.must(err)
		f.same("sum "+when, got, want)
	}
	check("of slices")
	f.same("hours summed", f.maintain(history.TaskSums).Done, 5)
	check("of hours")

	// One comes again with other numbers, and one late, with other buckets.
	corrected, other := Slice(route, hour.Add(-90*time.Minute), 1000, 10), Slice(route, hour.Add(5*time.Minute), 5, 0)
	other.Latency = telemetry.Histogram{Bounds: []float64{2}, Counts: []float64{5, 0}}
	old := payloads[210].(*telemetry.SLISlice) //nolint:forcetypeassert // made above
	f.send(clusterA, telemetry.StreamSLI, epoch1, Records(301, []telemetry.Payload{corrected, other}, func(int) time.Time { return f.clock.Now() })...)
	want.Slices, want.Covered, want.ExpectedScrapes, want.GoodScrapes = 301, 301, 1204, 1204
	want.Total, want.Bad, want.SumSeconds = want.Total-old.Total+1005, 10, want.SumSeconds-old.SumSeconds+corrected.SumSeconds+other.SumSeconds
	want.Classes[telemetry.Class2xx], want.Classes[telemetry.Class5xx] = want.Classes[telemetry.Class2xx]-old.Total+995, 10
	want.Mixed = want.Latency.Counts[0] - old.Total + 1000
	want.Latency = other.Latency
	check("after a correction")
	f.maintain(history.TaskSums)
	check("after a correction, summed")

	found := all(f, func(cursor string) (history.Page[telemetry.SLISlice], error) {
		q := q
		q.Paging = history.Paging{Limit: 100, Cursor: cursor}
		return f.Slices(ctx, q)
	})
	f.same("slices", len(found), 301)
	f.same("every field", found[210], *corrected)
	routes, err := f.Routes(ctx, history.RouteQuery{Cluster: clusterA, Namespaces: []string{"shop"}, Name: "web"})
	f.must(err)
	f.same("routes", routes.Items, []telemetry.RouteKey{route})
}

func testOutput(f *fixture) {
	ctx := f.Context()
	payloads := make([]telemetry.Payload, 0, 70)
	var want []byte
	for i := range 70 {
		data := bytes.Repeat([]byte{byte(i), 0, 0xff, '\''}, i)
		want = append(want, data...)
		payloads = append(payloads, &telemetry.CommandOutput{
			CommandUID: "cmd", ExecutionID: "run", Index: uint32(i), Source: telemetry.OutputStdout, Last: i == 69, Truncated: i == 69, Data: data,
		})
	}
	f.send(clusterA, telemetry.StreamCommandOutput, epoch1, Records(1, payloads, func(int) time.Time { return f.clock.Now() })...)
	chunks := all(f, func(cursor string) (history.Page[history.OutputChunk], error) {
		return f.CommandOutput(ctx, history.OutputQuery{Cluster: clusterA, CommandUID: "cmd", ExecutionID: "run", Paging: history.Paging{Limit: 500, Cursor: cursor}})
	})
	var got []byte
	for _, c := range chunks {
		got = append(got, c.Data...)
	}
	f.same("chunks", len(chunks), 70)
	f.same("bytes", bytes.Equal(got, want), true)
	f.same("the last", []bool{chunks[69].Last, chunks[69].Truncated, chunks[68].Last}, []bool{true, true, false})
}

func testAudit(f *fixture) {
	ctx, now := f.Context(), f.clock.Now()
	want := make([]history.AuditEntry, 0, 5)
	for i := range 5 {
		want = append(want, history.AuditEntry{
			At: now.Add(time.Duration(-i) * time.Minute), Cluster: clusterA, Actor: name("user", i%2), Action: "RemoteCommand.Approve",
			Object: "RemoteCommand a/b", Outcome: "allowed", Detail: "because",
		})
	}
	f.must(f.Audit(ctx, want...))
	f.must(f.Audit(ctx))
	got := all(f, func(cursor string) (history.Page[history.AuditEntry], error) {
		return f.AuditLog(ctx, history.AuditQuery{Range: f.lately(time.Hour), Paging: history.Paging{Limit: 2, Cursor: cursor}})
	})
	f.same("entries", got, want)
	page, err := f.AuditLog(ctx, history.AuditQuery{Range: f.lately(time.Hour), Actor: "user0001", Cluster: clusterA, Actions: []string{"RemoteCommand.Approve"}})
	f.must(err)
	f.same("of one user", len(page.Items), 2)
	f.same("newest first", slices.IsSortedFunc(page.Items, func(a, b history.AuditEntry) int { return b.At.Compare(a.At) }), true)
}
