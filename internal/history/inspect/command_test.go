// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

const testDSN = "sqlite:///var/lib/atlhyper/history.db"

// result is what a run said.
type result struct {
	out, errOut string
	err         error
}

func named(context.Context) (map[history.ClusterUID]string, error) {
	return map[history.ClusterUID]string{clusterA: "prod-eu"}, nil
}

// run runs the command on a store and checks that it was closed.
func run(t *testing.T, f *fake, args ...string) result {
	t.Helper()
	opened := false
	open := func(context.Context, string) (Reader, io.Closer, error) {
		opened = true
		return f, f, nil
	}
	r := runWith(t, open, append([]string{"--dsn", testDSN}, args...), WithNames(named))
	if opened && !f.closed {
		t.Error("the store was left open")
	}
	return r
}

func runWith(t *testing.T, open Opener, args []string, options ...Option) result {
	t.Helper()
	var out, errOut bytes.Buffer
	options = append(options, WithClock(func() time.Time { return testNow }, time.FixedZone("JST", 9*60*60)))
	cmd := New(open, Streams{Out: &out, ErrOut: &errOut}, options...)
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return result{out: out.String(), errOut: errOut.String(), err: err}
}

func golden(t *testing.T, name string, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; go test ./internal/history/inspect -update writes it (-want +got):\n%s", file, diff)
	}
}

func TestGolden(t *testing.T) {
	for name, args := range map[string]string{
		"inventory.txt":          "inventory --utc",
		"inventory-pods.txt":     "inventory --cluster prod-eu --kind pods --deleted",
		"inventory.json":         "inventory -o json --cluster 0f6f --kind Pod,deployment",
		"inventory.jsonl":        "inventory -o jsonl --cluster " + string(clusterB),
		"inventory-changes.txt":  "inventory --since 1d",
		"inventory-changes.json": "inventory --changes --kind Service -o json",
		"events.txt":             "events",
		"events.json":            "events --since 2h -o json",
		"metrics-nodes.txt":      "metrics --utc",
		"metrics-nodes.json":     "metrics -o json",
		"metrics.txt":            "metrics --node worker-1",
		"metrics.json":           "metrics --node worker-1 --metric cpu_usage_percent,oom_kills_total -o json",
		"metrics-points.txt":     "metrics --node worker-1 --metric cpu_usage_percent --points 10",
		"metrics-all-nodes.txt":  "metrics --metric cpu_usage_percent",
		"anomalies.txt":          "anomalies",
		"anomalies-one.json":     "anomalies --cluster prod-eu --severity critical -o json",
		"anomalies-changes.txt":  "anomalies --transitions",
		"gaps.txt":               "gaps",
		"gaps.json":              "gaps -o json",
		"quarantine.txt":         "quarantine --cluster prod-eu",
		"quarantine.jsonl":       "quarantine --raw -o jsonl",
		"offsets.txt":            "offsets",
		"offsets.json":           "offsets -o json",
		"sli.txt":                "sli --cluster prod-eu",
		"sli.json":               "sli --cluster prod-eu -o json",
		"sli-slices.txt":         "sli --cluster prod-eu --slices",
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, sample(), strings.Fields(args)...)
			if r.err != nil || r.errOut != "" {
				t.Fatalf("history %s: %v, said %q", args, r.err, r.errOut)
			}
			// Whatever clusters contain: nothing that a terminal acts on.
			for _, c := range r.out {
				if c != '\n' && !unicode.IsGraphic(c) {
					t.Errorf("the output has %U", c)
				}
			}
			if strings.HasSuffix(name, ".json") && !json.Valid([]byte(r.out)) {
				t.Error("the output is no JSON")
			}
			golden(t, name, r.out)
		})
	}
}

// JSON keeps what tables strip: a program can read back exactly what is stored.
func TestJSONKeepsHostileText(t *testing.T) {
	r := run(t, sample(), "inventory", "--kind", "Widget", "-o", "json")
	var rows []struct{ Name string }
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %s", err, r.out)
	}
	if rows[0].Name != hostile {
		t.Errorf("the name is %q", rows[0].Name)
	}
}

func TestPaging(t *testing.T) {
	many := func() *fake {
		f := sample()
		f.clusters = f.clusters[:1]
		f.objects = nil
		for range 2500 {
			f.objects = append(f.objects, history.Object{Cluster: clusterA})
		}
		return f
	}
	for name, c := range map[string]struct {
		args    string
		rows    int
		said    string
		queries []string
	}{
		"one page":            {"--limit 5", 5, "There are more objects than the first 5: raise --limit (at most 50000), or narrow the search.\n", []string{"objects 6 "}},
		"several pages":       {"--limit 1500", 1500, "There are more objects than the first 1500: raise --limit (at most 50000), or narrow the search.\n", []string{"objects 1000 ", "objects 1000 1000"}},
		"all, which is exact": {"--limit 2500", 2500, "", []string{"objects 1000 ", "objects 1000 1000", "objects 1000 2000"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := many()
			r := run(t, f, append([]string{"inventory", "-o", "jsonl"}, strings.Fields(c.args)...)...)
			if got := strings.Count(r.out, "\n"); got != c.rows || r.errOut != c.said || r.err != nil {
				t.Errorf("%d rows, want %d; said %q, %v", got, c.rows, r.errOut, r.err)
			}
			if diff := cmp.Diff(c.queries, f.queries); diff != "" {
				t.Errorf("queries (-want +got):\n%s", diff)
			}
		})
	}
}

// The events of two clusters come in one order however small the pages are.
func TestMergesClusters(t *testing.T) {
	f := sample()
	f.pageSize = 1
	r := run(t, f, "events", "-o", "jsonl")
	var order []string
	for line := range strings.Lines(r.out) {
		var e struct{ UID string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		order = append(order, e.UID)
	}
	if diff := cmp.Diff([]string{"e1", "e3", "e2"}, order); diff != "" {
		t.Error(diff)
	}
}

// Filters that the store does not apply are applied to large pages.
func TestFiltersAnomaliesByKindAndNode(t *testing.T) {
	for args, want := range map[string]int{"--kind node": 1, "--node worker-1": 2, "--kind Pod --node edge-1": 0} {
		f := sample()
		r := run(t, f, append([]string{"anomalies", "-o", "jsonl", "--limit", "3"}, strings.Fields(args)...)...)
		if want == 0 {
			// The node has samples and is in no inventory, which knows worker-1.
			if r.err == nil || !strings.Contains(r.err.Error(), "--node edge-1 is unknown; there are: worker-1") {
				t.Errorf("anomalies %s: %v", args, r.err)
			}
			continue
		}
		if got := strings.Count(r.out, "\n"); got != want || r.err != nil {
			t.Errorf("anomalies %s: %d rows, want %d, %v", args, got, want, r.err)
		}
		if diff := cmp.Diff([]string{"open 1000", "open 1000"}, f.queries); diff != "" {
			t.Error(diff)
		}
	}
}

func TestStopsScanning(t *testing.T) {
	s, n := &session{}, 0
	endless := func(yield func(int, error) bool) {
		for yield(0, nil) {
			n++
		}
	}
	for _, err := range kept(s, endless, func(int) bool { return false }) {
		t.Fatal("a row was kept", err)
	}
	want := []string{"Stopped after looking at 100000 rows: narrow the search by time, cluster or namespace."}
	if diff := cmp.Diff(want, s.notes); diff != "" || n != maxScanned {
		t.Errorf("looked at %d rows, notes (-want +got):\n%s", n, diff)
	}
}

func TestStuckStoreIsAnError(t *testing.T) {
	f := sample()
	f.stuck = true
	if r := run(t, f, "inventory", "--limit", "50000"); !errors.Is(r.err, errSamePage) {
		t.Errorf("got %v", r.err)
	}
}

// What the store cannot read is an error that says of which cluster, and nothing is
// printed as if it were all.
func TestStoreFails(t *testing.T) {
	for _, args := range []string{
		"inventory", "inventory --changes", "inventory --kind Gadget", "events", "events --kind Gadget", "metrics", "metrics --metric load1",
		"metrics --node worker-1", "anomalies", "anomalies --node worker-1", "anomalies --transitions", "gaps", "quarantine", "offsets", "sli",
	} {
		for _, format := range formats {
			f := sample()
			f.err, f.late = &history.UnavailableError{Reason: history.UnavailableBusy, Err: io.ErrUnexpectedEOF}, true
			r := run(t, f, append(strings.Fields(args), "-o", format)...)
			if !errors.Is(r.err, history.ErrUnavailable) || !strings.Contains(r.err.Error(), "cluster prod-eu") || r.out != "" {
				t.Errorf("history %s -o %s: %v, printed %q", args, format, r.err, r.out)
			}
		}
	}
}
