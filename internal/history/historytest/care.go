// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func testRetention(f *fixture) {
	const day = 24 * time.Hour
	begin := f.clock.Now()
	f.samples(NewNode("node-1", 1), 1, begin.Add(-time.Hour), 10)
	f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 5)...)
	f.deltas(Pod("shop", "a", "a", 0), Pod("shop", "b", "b", 0), Marker(telemetry.OpDelete, "b", "b"))
	f.send(clusterA, telemetry.StreamAnomalies, epoch1, Records(1, []telemetry.Payload{
		Transition("Crash", "f1", telemetry.AnomalyRaised, telemetry.SeverityInfo),
	}, func(int) time.Time { return begin })...)
	f.send(clusterA, telemetry.StreamSLI, epoch1, Records(1, []telemetry.Payload{Slice(route, begin.Add(-2*time.Hour).Truncate(time.Minute), 10, 1)},
		func(int) time.Time { return begin })...)
	f.must(f.Audit(f.Context(), history.AuditEntry{At: begin, Actor: "a", Action: "b"}))
	kept := func() []int {
		ctx, r := f.Context(), history.Range{Start: begin.Add(-day), End: begin.Add(day)}
		events, err := f.Events(ctx, history.EventQuery{Cluster: clusterA, Range: r})
		f.must(err)
		changes, err := f.ObjectChanges(ctx, history.ObjectChangeQuery{Cluster: clusterA, Range: r})
		f.must(err)
		transitions, err := f.AnomalyTransitions(ctx, history.AnomalyQuery{Cluster: clusterA, Range: r})
		f.must(err)
		open, err := f.OpenAnomalies(ctx, history.AnomalyQuery{Cluster: clusterA})
		f.must(err)
		sum, err := f.SumSlices(ctx, history.SliceQuery{Cluster: clusterA, Route: route, Range: r})
		f.must(err)
		audit, err := f.AuditLog(ctx, history.AuditQuery{Range: r})
		f.must(err)
		points := f.points(telemetry.MetricCPUUsage, r, 10)
		return []int{
			len(points.Series), len(events.Items), len(changes.Items), len(f.names(history.ObjectQuery{Deleted: true})),
			len(transitions.Items), len(open.Items), int(sum.Slices), len(audit.Items), //nolint:gosec // small
		}
	}
	f.maintain(history.TaskPartitions, history.TaskRetention)
	f.same("at once", kept(), []int{1, 5, 3, 2, 1, 1, 1, 1})
	f.clock.Advance(2 * time.Hour)
	f.maintain(history.Tasks()...)
	f.clock.Advance(20 * day)
	f.maintain(history.Tasks()...)
	f.same("after 20 days, rollups remain", kept(), []int{1, 5, 3, 2, 1, 1, 1, 1})
	f.clock.Advance(13 * day)
	f.maintain(history.Tasks()...)
	f.same("after 33 days", kept(), []int{1, 0, 0, 1, 1, 1, 1, 1})
	f.clock.Advance(180 * day)
	f.maintain(history.Tasks()...)
	f.same("after 213 days", kept(), []int{1, 0, 0, 1, 0, 1, 0, 1})
}

func testBounds(f *fixture) {
	ctx, ok := f.Context(), f.lately(time.Hour)
	many := strings.Split(strings.Repeat("x,", history.MaxFilter), ",")
	for name, err := range map[string]error{
		"no cluster":          second(f.Events(ctx, history.EventQuery{Range: ok})),
		"no range":            second(f.Events(ctx, history.EventQuery{Cluster: clusterA})),
		"backwards":           second(f.Events(ctx, history.EventQuery{Cluster: clusterA, Range: history.Range{Start: ok.End, End: ok.Start}})),
		"a range of years":    second(f.Gaps(ctx, history.LedgerQuery{Cluster: clusterA, Range: history.Range{Start: ok.Start.Add(-2 * history.MaxRange), End: ok.End}})),
		"a large page":        second(f.Objects(ctx, history.ObjectQuery{Cluster: clusterA, Paging: history.Paging{Limit: history.MaxLimit + 1}})),
		"a negative page":     second(f.Objects(ctx, history.ObjectQuery{Cluster: clusterA, Paging: history.Paging{Limit: -1}})),
		"too many points":     second(f.NodePoints(ctx, history.PointsQuery{Cluster: clusterA, Node: "n", Metric: 1, Range: ok, Points: history.MaxPoints + 1})),
		"no metric":           second(f.NodePoints(ctx, history.PointsQuery{Cluster: clusterA, Node: "n", Range: ok})),
		"no route":            second(f.SumSlices(ctx, history.SliceQuery{Cluster: clusterA, Range: ok})),
		"no execution":        second(f.CommandOutput(ctx, history.OutputQuery{Cluster: clusterA, CommandUID: "c"})),
		"an audit page":       second(f.AuditLog(ctx, history.AuditQuery{Range: ok, Paging: history.Paging{Limit: 5000}})),
		"an unknown quantity": second(f.Slices(ctx, history.SliceQuery{Cluster: clusterA, Route: route, Range: ok, Paging: history.Paging{Limit: 5000}})),
	} {
		f.refused(name, err, history.ErrInvalidQuery)
	}
	f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 1)...)
	for _, cursor := range []string{"x", "!!", "WyJ4Il0", "bnVsbA", strings.Repeat("A", history.MaxCursor+1)} {
		_, err := f.Events(ctx, history.EventQuery{Cluster: clusterA, Range: ok, Paging: history.Paging{Cursor: cursor}})
		f.refused("cursor "+cursor[:1], err, history.ErrInvalidQuery)
	}
	_, err := f.Events(ctx, history.EventQuery{Cluster: clusterA, Range: ok, Reasons: many})
	f.refused("a long filter", err, history.ErrInvalidQuery)
	if _, err := f.Maintain(ctx, "no such task", f.clock.Now()); err == nil {
		f.Error("an unknown task was run")
	}
}

func second[T any](_ T, err error) error { return err }

// injections are texts that mean something to some database, shell or page.
var injections = []string{
	"'; DROP TABLE events; --", "' OR '1'='1", "\" OR \"\"=\"", "\\' OR 1=1 -- ", "%", "_", "?", "$1", "@name", ":name", "`id`", "/*", "--",
	"x') UNION SELECT uid FROM clusters --", "<script>alert(1)</script>", "été 日本語 🚀", "\\x00\\", "{{.}}", "trailing ", " ",
}

func testInjection(f *fixture) {
	ctx, now := f.Context(), f.clock.Now()
	events := make([]telemetry.Payload, 0, len(injections))
	objects, anomalies := slices.Clone(events), slices.Clone(events)
	for i, text := range injections {
		e := Event("uid"+text, uint64(i+1), 1, now)
		e.Namespace, e.Reason, e.Message, e.Regarding.Namespace, e.Regarding.Name = text, text, text, text, text
		events = append(events, e)
		p := Pod(text, text, "uid"+text, 0)
		p.Node, p.Phase, p.Message, p.Labels = text, text, text, []telemetry.Label{{Key: text, Value: text}}
		objects = append(objects, p)
		a := Transition(text, text, telemetry.AnomalyRaised, telemetry.SeverityInfo)
		a.Object.Namespace = text
		anomalies = append(anomalies, a)
	}
	at := func(int) time.Time { return now }
	cluster := history.ClusterUID(injections[0])
	f.send(cluster, telemetry.StreamEvents, epoch1, Records(1, events, at)...)
	f.send(cluster, telemetry.StreamInventory, epoch1, Records(1, objects, at)...)
	f.send(cluster, telemetry.StreamAnomalies, epoch1, Records(1, anomalies, at)...)
	r := f.lately(time.Hour)
	for i, text := range injections {
		found, err := f.Events(ctx, history.EventQuery{Cluster: cluster, Range: r, Namespaces: []string{text}, Reasons: []string{text}, Name: text})
		f.must(err)
		f.same("events about "+text, []any{len(found.Items), found.Items[0].Event}, []any{1, *events[i].(*telemetry.Event)}) //nolint:forcetypeassert // made above
		pods, err := f.Objects(ctx, history.ObjectQuery{
			Cluster: cluster, Namespaces: []string{text}, Phases: []string{text}, Node: text, NamePrefix: text, Kinds: []telemetry.Kind{telemetry.KindPod},
		})
		f.must(err)
		f.same("objects called "+text, []any{len(pods.Items), pods.Items[0].ObjectDelta}, []any{1, *objects[i].(*telemetry.ObjectDelta)}) //nolint:forcetypeassert // made above
		open, err := f.OpenAnomalies(ctx, history.AnomalyQuery{Cluster: cluster, Rules: []string{text}, Namespaces: []string{text}})
		f.must(err)
		f.same("anomalies of "+text, len(open.Items), 1)
		none, err := f.Events(ctx, history.EventQuery{Cluster: history.ClusterUID(text + "x"), Range: r, UID: text})
		f.must(err)
		f.same("of no cluster", len(none.Items), 0)
		changes, err := f.ObjectChanges(ctx, history.ObjectChangeQuery{Cluster: cluster, Range: r, UID: "uid" + text, Namespaces: []string{text}})
		f.must(err)
		f.same("changes of "+text, len(changes.Items), 1)
		f.must(second(f.AuditLog(ctx, history.AuditQuery{Range: r, Actor: text, Actions: []string{text}, Cluster: history.ClusterUID(text)})))
		f.must(second(f.CommandOutput(ctx, history.OutputQuery{Cluster: cluster, CommandUID: text, ExecutionID: text})))
		f.must(second(f.Routes(ctx, history.RouteQuery{Cluster: cluster, Name: text, Namespaces: []string{text}})))
		f.must(second(f.NodePoints(ctx, history.PointsQuery{Cluster: cluster, Node: text, Metric: 1, Labels: []string{text}, Range: r})))
	}
}

func testIsolation(f *fixture) {
	f.send(clusterA, telemetry.StreamEvents, epoch2, f.eventRecords(1, 5)...)
	f.send(clusterB, telemetry.StreamEvents, epoch1, f.eventRecords(1, 3)...)
	f.same("a", f.countEvents(clusterA), 5)
	f.same("b", f.countEvents(clusterB), 3)
	clusters, err := f.Clusters(f.Context())
	f.must(err)
	f.same("clusters", clusters, []history.ClusterUID{clusterA, clusterB})
	stored, err := f.LastStored(f.Context())
	f.must(err)
	f.same("clusters that were heard", len(stored), 2)
	offset, err := f.Offset(f.Context(), clusterB, telemetry.StreamEvents, epoch1)
	f.must(err)
	f.same("when b was heard", stored[clusterB], offset.Updated)
	page, err := f.Events(f.Context(), history.EventQuery{Cluster: "nobody", Range: f.lately(time.Hour)})
	f.must(err)
	f.same("an unknown cluster", len(page.Items), 0)
}

func testChanges(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	changes, err := f.Changes(ctx)
	f.must(err)
	f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 3)...)
	want := history.Change{Cluster: clusterA, Stream: telemetry.StreamEvents}
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case got := <-changes:
		f.same("change", got, want)
	case <-timer.C:
		f.Fatal("the change was not told within 5 s")
	}
	cancel()
	for {
		select {
		case _, more := <-changes:
			if !more {
				return
			}
		case <-timer.C:
			f.Fatal("the channel did not end within 5 s")
		}
	}
}

func testHealth(f *fixture) {
	h, err := f.Health(f.Context())
	f.must(err)
	if h.Dialect == "" || h.Version == "" || h.SchemaVersion < 1 || h.Bytes <= 0 || h.Latency <= 0 {
		f.Errorf("the health says too little: %+v", h)
	}
	f.must(f.Migrate(f.Context())) // again
}

// testMaintenanceRepeats runs maintainers against each other and against a writer.
func testMaintenanceRepeats(f *fixture) {
	begin := f.clock.Now().Truncate(time.Hour).Add(-5 * time.Hour)
	node := NewNode("node-1", 9)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	finish := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer finish()
	for i := range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, task := range history.Tasks() {
					if _, err := f.Maintain(f.Context(), task, f.clock.Now()); err != nil {
						f.Errorf("maintainer %d: %s: %v", i, task, err)
						return
					}
				}
			}
		})
	}
	const batches, size = 40, 24
	records := make([]telemetry.Record, 0, batches*size)
	for b := range batches {
		records = append(records, f.samples(node, uint64(b*size+1), begin.Add(time.Duration(b*size)*15*time.Second), size)...)
	}
	finish()
	f.maintain(history.TaskCompact)
	r := history.Range{Start: begin, End: begin.Add(5 * time.Hour)}
	for _, n := range []int{history.MaxPoints, 60, 5} {
		got := f.points(telemetry.MetricUptime, r, n)
		f.sameSeries(fmt.Sprintf("in %d points", n), got, recompute(records, telemetry.MetricUptime, begin, got.Step))
	}
}
