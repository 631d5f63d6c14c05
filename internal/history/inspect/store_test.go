// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/historytest"
	"github.com/atlhyper/atlhyper/internal/history/inspect"
	"github.com/atlhyper/atlhyper/internal/history/store"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	east = history.ClusterUID("11111111-0000-4000-8000-000000000001")
	west = history.ClusterUID("22222222-0000-4000-8000-000000000002")

	// pods are more than two of the largest pages.
	pods    = 2*history.MaxLimit + 300
	samples = 40
)

// openReadOnly is what the hub's command passes.
func openReadOnly(ctx context.Context, dsn string) (inspect.Reader, io.Closer, error) {
	s, err := store.Open(ctx, dsn, store.Options{ReadOnly: true})
	if err != nil {
		return nil, nil, err
	}
	return s, s, nil
}

// filled is a store in use, with what was put into it.
type filled struct {
	t      *testing.T
	dsn    string
	now    time.Time
	writer *store.Store
	values []float64 // of the CPU's usage
}

func (f *filled) send(cluster history.ClusterUID, stream telemetry.Stream, at time.Time, payloads []telemetry.Payload, refused ...history.Refused) {
	f.t.Helper()
	records := historytest.Records(1, payloads, func(i int) time.Time { return at.Add(time.Duration(i) * time.Millisecond) })
	if gap, ok := payloads[0].(*telemetry.Gap); ok {
		records = []telemetry.Record{{Seq: gap.To, Time: at, Payload: gap}}
	}
	if stream == telemetry.StreamNodeMetrics {
		for i := range records {
			records[i].Time = at.Add(time.Duration(i) * 15 * time.Second)
		}
	}
	batch := telemetry.NewBatch(stream, 7, records)
	for _, r := range refused {
		batch.LastSeq = max(batch.LastSeq, r.LastSeq)
	}
	if _, err := f.writer.Append(f.t.Context(), cluster, batch, refused...); err != nil {
		f.t.Fatalf("appending to %s: %v", stream, err)
	}
}

func fill(t *testing.T) *filled {
	t.Helper()
	f := &filled{t: t, dsn: "sqlite://" + filepath.Join(t.TempDir(), "history.db"), now: time.Now().UTC().Truncate(time.Minute)}
	var err error
	if f.writer, err = store.Open(t.Context(), f.dsn, store.Options{Now: func() time.Time { return f.now }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.writer.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.writer.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var objects []telemetry.Payload
	for i := range pods {
		objects = append(objects, historytest.Pod("shop", fmt.Sprintf("web-%05d", i), fmt.Sprintf("uid-%05d", i), int32(i%3)))
	}
	objects = append(objects, &telemetry.ObjectDelta{Op: telemetry.OpUpsert, Kind: telemetry.KindNamespace, Name: "shop", UID: "ns", Phase: "Active"})
	f.send(east, telemetry.StreamInventory, f.now.Add(-time.Hour), objects)

	for i, cluster := range []history.ClusterUID{east, west} {
		var events []telemetry.Payload
		for n := range 30 {
			ago := time.Duration(2*n+i) * time.Minute
			events = append(events, historytest.Event(fmt.Sprintf("%d-%02d", i, n), 5, 2, f.now.Add(-ago)))
		}
		f.send(cluster, telemetry.StreamEvents, f.now.Add(-time.Minute), events)
	}

	node, sent := historytest.NewNode("worker-1", 1), []telemetry.Payload(nil)
	for range samples {
		next := node.Next()
		v, _ := next.Value(telemetry.MetricCPUUsage, "")
		f.values = append(f.values, v)
		sent = append(sent, next)
	}
	f.send(east, telemetry.StreamNodeMetrics, f.now.Add(-samples*15*time.Second), sent)

	f.send(east, telemetry.StreamAnomalies, f.now.Add(-20*time.Minute), []telemetry.Payload{
		historytest.Transition("PodCrashLoopBackOff", "f1", telemetry.AnomalyRaised, telemetry.SeverityCritical),
		historytest.Transition("PodPending", "f2", telemetry.AnomalyRaised, telemetry.SeverityWarning),
		historytest.Transition("PodPending", "f2", telemetry.AnomalyCleared, telemetry.SeverityWarning),
	})
	route := telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "/"}
	f.send(east, telemetry.StreamSLI, f.now.Add(-3*time.Minute), []telemetry.Payload{
		historytest.Slice(route, f.now.Add(-5*time.Minute), 100, 1), historytest.Slice(route, f.now.Add(-4*time.Minute), 300, 2),
	})
	f.send(west, telemetry.StreamInventory, f.now.Add(-2*time.Minute), []telemetry.Payload{
		&telemetry.Gap{From: 1, To: 90, Reason: telemetry.GapSpoolFull, Dropped: 90, Start: f.now.Add(-time.Hour), End: f.now.Add(-30 * time.Minute)},
	})
	f.send(west, telemetry.StreamAnomalies, f.now.Add(-2*time.Minute), []telemetry.Payload{
		historytest.Transition("NodeNotReady", "f9", telemetry.AnomalyRaised, telemetry.SeverityInfo),
	}, history.Refused{FirstSeq: 2, LastSeq: 2, Reason: "severity: is required", Raw: []byte("\x00\x01")})
	return f
}

// rows runs the command and returns the rows that it printed.
func rows[V any](f *filled, args ...string) []V {
	f.t.Helper()
	out := f.run(append(args, "-o", "jsonl")...)
	var all []V
	for line := range strings.Lines(out) {
		var v V
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			f.t.Fatalf("%v in %s", err, line)
		}
		all = append(all, v)
	}
	return all
}

func (f *filled) run(args ...string) string {
	f.t.Helper()
	var out, errOut bytes.Buffer
	cmd := inspect.New(openReadOnly, inspect.Streams{Out: &out, ErrOut: &errOut}, inspect.WithClock(func() time.Time { return f.now }, time.UTC))
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(f.t.Context()); err != nil || errOut.Len() > 0 {
		f.t.Fatalf("history %v: %v, said %s", args, err, errOut.String())
	}
	return out.String()
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// What was appended to a store comes out of the command, while the hub has the file
// open.
func TestReadsWhatWasStored(t *testing.T) {
	f := fill(t)
	t.Setenv(inspect.DSNVariable, f.dsn)

	t.Run("inventory", func(t *testing.T) {
		type object struct {
			Name, Namespace, UID, Node string
			Restarts                   int32
			Numbers                    map[string]int64
		}
		got := rows[object](f, "inventory", "--kind", "pods", "--limit", "5000")
		if len(got) != pods {
			t.Fatalf("%d pods, %d were stored", len(got), pods)
		}
		for i, o := range got {
			if want := fmt.Sprintf("web-%05d", i); o.Name != want || o.Restarts != int32(i%3) || o.Node != "node-1" || o.Numbers["containers"] != 2 {
				t.Fatalf("row %d is %+v", i, o)
			}
		}
		same(t, "one name", len(rows[object](f, "inventory", "--name", "web-0001", "--cluster", "1111")), 10)
		same(t, "changes", len(rows[object](f, "inventory", "--since", "2h", "--limit", "5000")), pods+1)
		same(t, "namespace", len(rows[object](f, "inventory", "--namespace", "-")), 1)
	})
	t.Run("events", func(t *testing.T) {
		type event struct {
			UID      string
			LastSeen time.Time
		}
		got := rows[event](f, "events", "--namespace", "shop", "--kind", "pod", "--type", "warning")
		same(t, "number", len(got), 60)
		if !slices.IsSortedFunc(got, func(a, b event) int { return b.LastSeen.Compare(a.LastSeen) }) {
			t.Error("the events of both clusters are not in one order")
		}
		same(t, "newest", []string{got[0].UID, got[1].UID, got[2].UID}, []string{"0-00", "1-00", "0-01"})
		same(t, "in time", len(rows[event](f, "events", "--since", "30m", "--until", "10m", "--cluster", string(west))), 10)
	})
	t.Run("metrics", func(t *testing.T) {
		type values struct {
			Node, Metric, Unit   string
			Samples              uint64
			Min, Mean, Max, Last float64
		}
		got := rows[values](f, "metrics", "--node", "worker-1", "--metric", "cpu_usage_percent")
		sum := 0.0
		for _, v := range f.values {
			sum += v
		}
		if len(got) != 1 {
			t.Fatalf("got %+v", got)
		}
		// Means are of parts, and off by what floats are.
		if d := got[0].Mean - sum/samples; max(d, -d) > 1e-9 {
			t.Errorf("the mean is %v, not %v", got[0].Mean, sum/samples)
		}
		got[0].Mean = 0
		same(t, "cpu", got[0], values{
			Node: "worker-1", Metric: "cpu_usage_percent", Unit: "percent", Samples: samples,
			Min: slices.Min(f.values), Max: slices.Max(f.values), Last: f.values[samples-1],
		})
		points := rows[values](f, "metrics", "--node", "worker-1", "--metric", "cpu_usage_percent", "--points", "300")
		same(t, "points", len(points), samples)
		all := rows[values](f, "metrics", "--node", "worker-1", "--limit", "1000")
		if len(all) < 100 {
			t.Errorf("%d series", len(all))
		}
		same(t, "mounts", len(rows[values](f, "metrics", "--metric", "fs_used_*", "--label", "/")), 2)
		same(t, "nodes", len(rows[values](f, "metrics")), 1)
	})
	t.Run("anomalies", func(t *testing.T) {
		type anomaly struct{ Rule, State string }
		same(t, "open", rows[anomaly](f, "anomalies"), []anomaly{{"PodCrashLoopBackOff", "raised"}, {"NodeNotReady", "raised"}})
		same(t, "transitions", rows[anomaly](f, "anomalies", "--since", "1h", "--rule", "PodPending"), []anomaly{{"PodPending", "cleared"}, {"PodPending", "raised"}})
	})
	t.Run("ledger", func(t *testing.T) {
		type entry struct {
			Cluster, Stream, Reason string
			From, To, LastSeq       uint64
		}
		same(t, "gaps", rows[entry](f, "gaps"), []entry{{Cluster: string(west), Stream: "inventory", Reason: "SpoolFull", From: 1, To: 90}})
		same(t, "quarantine", rows[entry](f, "quarantine"), []entry{{Cluster: string(west), Stream: "anomalies", Reason: "severity: is required", From: 2, To: 2}})
		got := rows[entry](f, "offsets", "--cluster", string(west))
		slices.SortFunc(got, func(a, b entry) int { return cmp.Compare(a.Stream, b.Stream) })
		same(t, "offsets", got, []entry{
			{Cluster: string(west), Stream: "anomalies", LastSeq: 2}, {Cluster: string(west), Stream: "events", LastSeq: 30}, {Cluster: string(west), Stream: "inventory", LastSeq: 90},
		})
	})
	t.Run("sli", func(t *testing.T) {
		type sums struct {
			Name            string
			Slices          uint64
			Total, Bad, Sum float64
		}
		same(t, "sum", rows[sums](f, "sli"), []sums{{Name: "web", Slices: 2, Total: 400, Bad: 3}})
		same(t, "slices", rows[sums](f, "sli", "--slices"), []sums{{Name: "web", Slices: 1, Total: 100, Bad: 1}, {Name: "web", Slices: 1, Total: 300, Bad: 2}})
	})
	t.Run("tables", func(t *testing.T) {
		for _, args := range []string{
			"inventory", "inventory --changes", "events", "metrics", "metrics --node worker-1", "anomalies", "anomalies --transitions", "gaps", "quarantine", "offsets", "sli", "sli --slices",
		} {
			// Those with more rows say so, and are no concern here.
			out := f.run(append(strings.Fields(args), "--limit", "5000")...)
			if lines := strings.Count(out, "\n"); lines < 2 || !strings.Contains(out, "  ") {
				t.Errorf("history %s printed %s", args, out)
			}
		}
	})
}

// A store that is not there is said so, and not created.
func TestNoStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "absent.db")
	cmd := inspect.New(openReadOnly, inspect.Streams{Out: io.Discard, ErrOut: io.Discard})
	cmd.SetArgs([]string{"inventory", "--dsn", "sqlite://" + file})
	err := cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	if found, _ := filepath.Glob(file + "*"); len(found) > 0 {
		t.Errorf("there is %v now", found)
	}
}
