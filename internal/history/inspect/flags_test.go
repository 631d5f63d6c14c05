// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// What is unknown is an error that lists what there is.
func TestUnknownFilters(t *testing.T) {
	for args, want := range map[string]string{
		"events --cluster nowhere":          "--cluster nowhere is unknown; there are: prod-eu (0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69), 7c1de0aa-1111-4222-8333-944455556666",
		"events --cluster 7c1":              "--cluster 7c1 is unknown; there are: prod-eu (0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69), 7c1de0aa-1111-4222-8333-944455556666",
		"events --namespace shpo":           "--namespace shpo is unknown; there are: kube-system, labs, shop",
		"events --type warn":                "--type warn is unknown; there are: Normal, Warning",
		"events --kind Gadget":              "--kind Gadget is unknown; there are: Pod, Node, Namespace, Deployment, StatefulSet",
		"inventory --namespace shop,shpo":   "",
		"inventory --namespace shpo":        "--namespace shpo is unknown; there are: kube-system, labs, shop",
		"inventory --kind Podd":             "--kind Podd is unknown; there are: Pod, Node, Namespace",
		"inventory --node worker-9":         "--node worker-9 is unknown; there are: worker-1",
		"inventory --ready yes":             "--ready yes is unknown; there are: True, False, Unknown",
		"metrics --node worker-9":           "--node worker-9 is unknown; there are: edge-1, worker-1, worker-2",
		"metrics --metric memory_percent":   "--metric memory_percent is unknown; there are: memory_used_percent,",
		"metrics --metric [":                "--metric [ is unknown; there are: ",
		"anomalies --severity fatal":        "--severity fatal is unknown; there are: info, warning, critical",
		"gaps --stream metrics":             "--stream metrics is unknown; there are: inventory, anomalies, events, node-metrics, sli, command-output",
		"gaps -o yaml":                      "--output yaml is unknown; there are: table, json, jsonl",
		"gaps --limit 0":                    "--limit is 0, it has to be from 1 to 50000",
		"gaps --limit 50001":                "--limit is 50001, it has to be from 1 to 50000",
		"gaps --since 1h --until 2h":        "--since (2026-11-23T20:00:00+09:00) has to be before --until (2026-11-23T19:00:00+09:00)",
		"gaps --since yesterday":            `reading --since: "yesterday" is neither a duration such as 90m, 2h or 7d nor a time`,
		"gaps --until -2h":                  "reading --until: how long ago cannot be negative",
		"gaps --since 500d":                 "the time range is longer than 401 days",
		"metrics --since 1h":                "--points, --label, --since and --until need --node or --metric",
		"metrics --node edge-1 --points -1": "--points is -1, it has to be from 1 to 2000",
		"inventory --changes --node n":      "--node, --name, --phase and --ready look at what exists",
		"gapz":                              `"gapz" is no subcommand of history; there are: anomalies, events, gaps, inventory, metrics, offsets, quarantine, sli`,
		"inventory pods":                    "history inventory takes flags and no arguments; see --help",
	} {
		t.Run(args, func(t *testing.T) {
			r := run(t, sample(), strings.Fields(args)...)
			switch {
			case want == "" && r.err != nil:
				t.Errorf("got %v", r.err)
			case want != "" && (r.err == nil || !strings.HasPrefix(r.err.Error(), want) && !strings.HasSuffix(r.err.Error(), want)):
				t.Errorf("got  %v\nwant %s", r.err, want)
			case want != "" && r.out != "":
				t.Errorf("printed %q", r.out)
			}
		})
	}
}

// What exists and was not found is no error.
func TestNothingFound(t *testing.T) {
	for args, want := range map[string]result{
		"events --namespace labs":                 {errOut: "No events found.\n"},
		"events --namespace labs -o json":         {out: "[]\n", errOut: "No events found.\n"},
		"events --namespace labs -o jsonl":        {errOut: "No events found.\n"},
		"events --until 2020-01-01":               {errOut: "No events found.\n"},
		"inventory --namespace labs --phase None": {errOut: "No objects found.\n"},
		"metrics --node worker-2":                 {errOut: "No values found.\n"}, // its samples have expired
		"anomalies --rule None --kind Pod":        {errOut: "No open anomalies found.\n"},
		"anomalies --rule None --transitions":     {errOut: "No transitions of anomalies found.\n"},
		"gaps --stream sli":                       {errOut: "No gaps found.\n"},
		"quarantine --stream sli":                 {errOut: "No quarantined records found.\n"},
		"sli --name none":                         {errOut: "No routes found.\n"},
		"sli --name idle --slices":                {errOut: "No SLI slices found.\n"},
		"inventory --since 2m --kind Service":     {errOut: "No changes of objects found.\n"},
		"metrics --node edge-1 --metric load1":    {errOut: "No values found.\n"},
		"inventory --namespace - --kind Pod":      {errOut: "No objects found.\n"},
		"offsets --cluster prod-eu --limit 1 --utc": {out: "STREAM             EPOCH  LAST SEQ  BEGAN                 UPDATED               AGE\n" +
			"inventory  1795000000000      4711  2026-11-22T12:00:00Z  2026-11-23T11:59:57Z  3s\n"},
	} {
		r := run(t, sample(), strings.Fields(args)...)
		if r != want {
			t.Errorf("history %s: got %+v, want %+v", args, r, want)
		}
	}
	for _, args := range []string{"inventory", "events --namespace x", "metrics", "metrics --node n", "anomalies", "gaps", "quarantine", "offsets", "sli"} {
		if r := run(t, &fake{}, strings.Fields(args)...); r != (result{errOut: "The store holds no clusters yet.\n"}) {
			t.Errorf("history %s of an empty store: %+v", args, r)
		}
	}
}

func TestClusterNames(t *testing.T) {
	f := sample()
	open := func(context.Context, string) (Reader, io.Closer, error) { return f, nil, nil }
	refused := WithNames(func(context.Context) (map[history.ClusterUID]string, error) { return nil, errors.New("no kubeconfig") })
	args := []string{"offsets", "--dsn", testDSN, "-o", "jsonl"}

	r := runWith(t, open, args, refused)
	if r.err != nil || strings.Count(r.out, "\n") != 2 || r.errOut != "The names of the clusters are not known: no kubeconfig\n" {
		t.Errorf("all clusters: %+v", r)
	}
	r = runWith(t, open, append(args, "--cluster", string(clusterA)), refused)
	if r.err != nil || strings.Count(r.out, "\n") != 1 {
		t.Errorf("by UID: %+v", r)
	}
	r = runWith(t, open, append(args, "--cluster", "prod-eu"), refused)
	if r.err == nil || r.err.Error() != "asking for the names of the clusters (a UID needs no name): no kubeconfig" {
		t.Errorf("by name: %+v", r)
	}
	r = runWith(t, open, append(args, "--cluster", "prod-eu"))
	if r.err == nil || !strings.HasPrefix(r.err.Error(), "--cluster prod-eu is unknown; there are: 0f6f5b3e-") {
		t.Errorf("by name, without names: %+v", r)
	}
	f.clusters = []history.ClusterUID{"0f6f5b3e-aaaa", "0f6f5b3e-bbbb"}
	r = runWith(t, open, append(args, "--cluster", "0f6f5b3e"))
	if r.err == nil || r.err.Error() != `--cluster "0f6f5b3e" fits several clusters: 0f6f5b3e-aaaa, 0f6f5b3e-bbbb` {
		t.Errorf("by prefix: %+v", r)
	}
}

// Whoever says what is wrong does not say the password.
func TestDSNIsNeverShown(t *testing.T) {
	const password = "s3cr3t/p%40ss"
	dsn := "postgres://hub:" + password + "@db:5432/atlhyper"
	t.Setenv(DSNVariable, dsn)
	failing := func(_ context.Context, got string) (Reader, io.Closer, error) {
		if got != dsn {
			t.Errorf("opened %q", got)
		}
		return nil, nil, fmt.Errorf("opening the history: %w: cannot parse %q, password s3cr3t/p@ss", history.ErrUnavailable, got)
	}
	for _, args := range []string{"inventory", "inventory --dsn " + dsn, "--help", "events --help", dsn, "inventory " + dsn, "events --since " + "x"} {
		r := runWith(t, failing, strings.Fields(args))
		if said := fmt.Sprint(r.out, r.errOut, r.err); strings.Contains(said, "s3cr3t") || strings.Contains(said, "p@ss") || said == "" {
			t.Errorf("history %.12s... said %s", args, said)
		}
		if args == "inventory" && (!errors.Is(r.err, history.ErrUnavailable) || errors.Unwrap(r.err) != nil || strings.Count(r.err.Error(), redacted) != 2) {
			t.Errorf("got %v", r.err)
		}
	}
	// Errors while reading are treated alike.
	f := sample()
	open := func(context.Context, string) (Reader, io.Closer, error) { return f, f, nil }
	f.err = errors.New("dial " + dsn)
	if r := runWith(t, open, []string{"events"}); r.err == nil || strings.Contains(r.err.Error(), "s3cr3t") || !f.closed {
		t.Errorf("got %v, closed %t", r.err, f.closed)
	}
	t.Setenv(DSNVariable, "")
	if r := runWith(t, failing, []string{"events"}); r.err == nil || !strings.HasPrefix(r.err.Error(), "no store was named: set ATLHYPER_DSN or --dsn") {
		t.Errorf("without a DSN: %v", r.err)
	}
}

func TestRedact(t *testing.T) {
	for dsn, text := range map[string]string{
		"postgres://u:pa ss@h/db":                     `bad: "pa ss"`,
		"mysql://u:p%23w@h/db":                        "p#w or p%23w",
		"u:hunter2@tcp(db:3306)/atlhyper":             "hunter2",
		"host=db user=hub password=hunter2 dbname=x":  "auth hunter2",
		"host=db password='it\\'s' dbname=x":          "near it\\'s",
		"postgres://h/db?user=u&password=hunter2&x=1": "?password=hunter2",
		"postgres://u:a\"b@h/db":                      `"a\"b"`,
		"postgres://u:x:y@z@h/db":                     "x:y@z",
	} {
		got := redact(errors.New("opening: "+text), dsn).Error()
		if !strings.Contains(got, redacted) || strings.Contains(got, "hunter2") || strings.Contains(got, "p#w") || strings.Contains(got, "p%23w") {
			t.Errorf("%s: %s", dsn, got)
		}
	}
	plain := errors.New("opening /var/lib/x: no such file")
	for _, dsn := range []string{"sqlite:///var/lib/x", "postgres://h/db", ""} {
		if got := redact(plain, dsn); got != plain { //nolint:errorlint // it is to be the same
			t.Errorf("%s: %v", dsn, got)
		}
	}
}

func TestMoment(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	for text, want := range map[string]time.Time{
		"now": testNow, "0s": testNow, "90m": before(90 * time.Minute), "7d": before(7 * day), "1d12h": before(36 * time.Hour), "2w1d": before(15 * day),
		"2026-11-01":                {},
		"2026-11-23T12:00:00Z":      testNow,
		"2026-11-23T21:00:00+09:00": testNow,
		"2026-11-23T21:00":          testNow,
		"2026-11-23 21:00:00":       testNow,
	} {
		if want.IsZero() {
			want = time.Date(2026, 11, 1, 0, 0, 0, 0, tokyo)
		}
		got, err := moment(text, testNow, tokyo)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "99999w", "36526d", "-1h", "12", "2026-13-01", "1d-2h3"} {
		if got, err := moment(text, testNow, tokyo); err == nil {
			t.Errorf("%s is %v", text, got)
		}
	}
}

func TestSpan(t *testing.T) {
	s := &session{now: testNow, location: time.UTC}
	for name, c := range map[string]struct {
		span
		want history.Range
	}{
		"neither": {span{}, history.Range{Start: before(day), End: testNow.Add(time.Minute + time.Millisecond)}},
		"since":   {span{since: "2h"}, history.Range{Start: before(2 * time.Hour), End: testNow.Add(time.Minute + time.Millisecond)}},
		"until":   {span{until: "2h"}, history.Range{Start: before(26 * time.Hour), End: before(2 * time.Hour)}},
		"both":    {span{since: "3h", until: "2h"}, history.Range{Start: before(3 * time.Hour), End: before(2 * time.Hour)}},
	} {
		got, err := c.between(s, day, time.Minute)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 1500 * time.Millisecond: "1s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 150 * time.Second: "2m30s",
		59 * time.Minute: "59m", 3*time.Hour + 5*time.Minute: "3h5m", 47 * time.Hour: "47h", 50 * time.Hour: "2d2h", 400 * day: "400d",
	} {
		if got := age(before(d), testNow); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if got := age(time.Time{}, testNow); got != "" {
		t.Errorf("unknown: %s", got)
	}
}

func TestQuantity(t *testing.T) {
	for want, c := range map[string]struct {
		v        float64
		unit     telemetry.Unit
		decimals int
	}{
		"12.35 %": {12.346, telemetry.UnitPercent, 2}, "1.5 KiB": {1536, telemetry.UnitBytes, 0}, "-2 MiB/s": {-2 << 20, telemetry.UnitBytesPerSecond, 0},
		"1 Gbit/s": {1e9, telemetry.UnitBitsPerSecond, 0}, "0.5 /s": {0.5, telemetry.UnitPerSecond, 2}, "86400 s": {86400, telemetry.UnitSeconds, 0},
		"1.25 ms": {1.25, telemetry.UnitMilliseconds, 2}, "41.5 °C": {41.5, telemetry.UnitCelsius, 1}, "yes": {1, telemetry.UnitBool, 0},
		"no": {0, telemetry.UnitBool, 0}, "0.25": {0.25, telemetry.UnitBool, 0}, "3": {3, telemetry.UnitCode, 0}, "0": {-0.0001, telemetry.UnitCount, 0},
		"1.79769e+308": {math.MaxFloat64, telemetry.UnitCount, 0}, "1e+16 %": {1e16, telemetry.UnitPercent, 2}, "100": {100, "furlongs", 0},
	} {
		if got := quantity(c.v, c.unit, c.decimals); got != want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, want)
		}
	}
	for m := range telemetry.Metrics() { // whatever is registered has a unit that is known here
		if got := quantity(2, m.Unit, m.Decimals); got == "2" && m.Unit != telemetry.UnitCount && m.Unit != telemetry.UnitCode && m.Unit != telemetry.UnitBool {
			t.Errorf("%s is printed without its unit %s", m.Name, m.Unit)
		}
	}
}

func TestSanitize(t *testing.T) {
	for text, want := range map[string]string{
		"plain Überraschung 日本": "plain Überraschung 日本",
		"a\x1b[1;31mb\x1b[0mc":  "abc", "a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\b": "alinkb", "a\x1b]0;endless": "a", "a\x1bcb": "ab", "a\x1b(Bb": "ab",
		"a\u009b2Jb": "ab", "a\x9bb": "a\uFFFDb", "a\u202eb\u2066c": "a b c", "a\r\n\tb": "a b", "  a  b ": "a b", "\x00\x7f": "",
	} {
		if got := sanitize(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := string(escape([]byte("\"é\u009b\x7f\U000e0041\u200b日\""))); got != `"é\u009b\u007f\udb40\udc41\u200b日"` {
		t.Errorf("escaped: %s", got)
	}
	if got := cut("日本語です", 3); got != "日本…" {
		t.Errorf("cut: %s", got)
	}
}

// Agents may send values whose sum no number holds; JSON has none for infinity.
func TestHugeValues(t *testing.T) {
	f := sample()
	huge := history.Point{At: before(time.Minute), Count: 2, Min: math.MaxFloat64, Max: math.MaxFloat64, Sum: math.Inf(1)}
	undefined := history.Point{At: before(time.Second), Count: 2, Min: -math.MaxFloat64, Max: math.MaxFloat64, Sum: math.NaN()}
	f.points = []history.SeriesPoints{{Series: telemetry.Series{Metric: telemetry.MetricCPUUsage}, Points: []history.Point{huge, undefined}}}
	f.sum = history.SLISum{Slices: 1, Total: math.Inf(1), Bad: math.Inf(1), SumSeconds: math.Inf(1)}
	for _, args := range []string{"metrics --node worker-1 --metric cpu_usage_percent", "metrics --node worker-1 --points 5 --metric cpu_usage_percent", "sli --cluster prod-eu"} {
		for _, format := range formats {
			r := run(t, f, append(strings.Fields(args), "-o", format)...)
			if r.err != nil || r.out == "" || strings.Contains(r.out, "NaN") || strings.Contains(r.out, "Inf") {
				t.Errorf("%s -o %s: %v\n%s", args, format, r.err, r.out)
			}
		}
	}
}

// Numbers that telemetry adds get a name here too.
func TestEveryNumberHasAName(t *testing.T) {
	for id := telemetry.NumberObjects; id <= telemetry.NumberFinishedSeconds; id++ {
		if numberNames[id] == "" {
			t.Errorf("number %d has no name", id)
		}
	}
}

// Errors of the output end the command.
func TestBrokenPipe(t *testing.T) {
	f := sample()
	for i := range 2000 {
		f.objects = append(f.objects, history.Object{Cluster: clusterA, ObjectDelta: telemetry.ObjectDelta{Name: fmt.Sprint(i)}})
	}
	open := func(context.Context, string) (Reader, io.Closer, error) { return f, f, nil }
	for _, format := range formats {
		cmd := New(open, Streams{Out: brokenPipe{}, ErrOut: io.Discard})
		cmd.SetArgs([]string{"inventory", "--dsn", testDSN, "--limit", "2000", "-o", format})
		if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, io.ErrClosedPipe) || !f.closed {
			t.Errorf("%s: %v", format, err)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
