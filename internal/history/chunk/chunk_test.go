// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package chunk

import (
	"flag"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// exact compares floats by their bits.
var exact = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
}

// columns are the sorts of values that kernels produce, and some they do not.
func columns(n int) map[string][]float64 {
	r := rand.New(rand.NewPCG(1, 2))
	of := func(next func(i int) float64) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = next(i)
		}
		return values
	}
	walk := 50.0
	return map[string][]float64{
		"constant":   of(func(int) float64 { return 16_777_216_000 }),
		"zero":       of(func(int) float64 { return 0 }),
		"counter":    of(func(i int) float64 { return float64(1_000_000 + 15*i) }),
		"uneven":     of(func(i int) float64 { return float64(i * i) }),
		"percent":    of(func(int) float64 { walk += r.NormFloat64(); return math.Round(walk*100) / 100 }),
		"pages":      of(func(int) float64 { return float64(1_000_000+r.IntN(4000)) * 4096 }),
		"spikes":     of(func(i int) float64 { return float64(i%97/96) * 1e9 }),
		"noise":      of(func(int) float64 { return r.NormFloat64() }),
		"large":      of(func(int) float64 { return float64(r.Uint64()) }),
		"negative":   of(func(int) float64 { return -float64(r.IntN(1000)) / 10 }),
		"minus zero": of(func(i int) float64 { return math.Copysign(0, float64(i%2)-0.5) }),
		"not a number": of(func(i int) float64 {
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}[i%5]
		}),
		"edge": of(func(i int) float64 { return []float64{maxScaled, -maxScaled, maxScaled - 1, 1 - maxScaled, 0.1}[i%5] }),
	}
}

func TestColumnsAreLossless(t *testing.T) {
	for _, n := range []int{1, 2, 3, 240, 1000} {
		for name, values := range columns(n) {
			s := &scratch{}
			packed := appendFloats(nil, values, s)
			got := make([]float64, n)
			in := input{rest: packed}
			in.floats(got, s)
			if in.err != nil || len(in.rest) > 0 {
				t.Fatalf("%s of %d: %v, %d bytes left", name, n, in.err, len(in.rest))
			}
			if diff := cmp.Diff(values, got, exact); diff != "" {
				t.Errorf("%s of %d (-want +got):\n%s", name, n, diff)
			}
		}
	}
}

func TestColumnsAreSmall(t *testing.T) {
	const n = 240
	for name, most := range map[string]float64{ // bytes per value
		"constant": 0.1, "zero": 0.1, "counter": 0.2, "uneven": 0.6, "percent": 1.2, "pages": 2, "spikes": 0.3, "noise": 9, "large": 8.5,
	} {
		size := len(appendFloats(nil, columns(n)[name], &scratch{}))
		t.Logf("%s: %.3f bytes per value", name, float64(size)/n)
		if float64(size) > most*n {
			t.Errorf("%s takes %.3f bytes per value, at most %.1f are expected", name, float64(size)/n, most)
		}
	}
}

// hour returns samples in which series come and go.
func hour(n int) []Sample {
	var samples []Sample
	values := columns(n)
	for i := range n {
		s := Sample{At: 1_700_000_000_000 + int64(i)*15_000 + int64(i%3), NodeSample: telemetry.NodeSample{
			BootID: []string{"boot-1", "boot-2"}[i*2/n], CollectorSeq: uint64(i + 1), Interval: 15 * time.Second, Scope: telemetry.NetworkHost,
			Series: []telemetry.Series{{Metric: telemetry.MetricCPUUsage}, {Metric: telemetry.MetricMemoryUsed}},
			Values: []float64{values["percent"][i], values["pages"][i]},
		}}
		if i%4 != 1 {
			s.Series = append(s.Series, telemetry.Series{Metric: telemetry.MetricFSUsed, Label: "/"}, telemetry.Series{Metric: telemetry.MetricFSUsed, Label: "/data"})
			s.Values = append(s.Values, values["uneven"][i], values["noise"][i])
		}
		if i > n/2 {
			s.Series = append(s.Series, telemetry.Series{Metric: telemetry.MetricNetReceive, Label: "eth0"}, telemetry.Series{Metric: 60_000, Label: "new"})
			s.Values = append(s.Values, values["counter"][i], values["not a number"][i])
		}
		samples = append(samples, s)
	}
	return samples
}

func encode(t *testing.T, blocks map[Group]*Block) map[Group]*Block {
	t.Helper()
	out := map[Group]*Block{}
	for g, b := range blocks {
		decoded, err := Decode(b.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		out[g] = &decoded
	}
	return out
}

func TestSamplesAreLossless(t *testing.T) {
	for _, n := range []int{1, 2, 5, 240} {
		want := hour(n)
		got := Samples(encode(t, Blocks(want)))
		if diff := cmp.Diff(want, got, exact); diff != "" {
			t.Errorf("%d samples (-want +got):\n%s", n, diff)
		}
	}
	if got := Samples(encode(t, Blocks(nil))); len(got) > 0 {
		t.Errorf("no samples became %v", got)
	}
	empty := []Sample{{At: 5, NodeSample: telemetry.NodeSample{BootID: "b", CollectorSeq: 1}}}
	if diff := cmp.Diff(empty, Samples(encode(t, Blocks(empty))), exact); diff != "" {
		t.Errorf("a sample without values (-want +got):\n%s", diff)
	}
}

func TestUniqueKeepsTheLast(t *testing.T) {
	sample := func(at int64, seq uint64) Sample {
		return Sample{At: at, NodeSample: telemetry.NodeSample{CollectorSeq: seq}}
	}
	got := Unique([]Sample{sample(3, 1), sample(1, 2), sample(3, 3), sample(2, 4)})
	if diff := cmp.Diff([]Sample{sample(1, 2), sample(2, 4), sample(3, 3)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheLaterValueOfASeriesWins(t *testing.T) {
	s := Sample{At: 1, NodeSample: telemetry.NodeSample{Series: []telemetry.Series{{Metric: 1}, {Metric: 1}}, Values: []float64{1, 2}}}
	got := Samples(Blocks([]Sample{s}))
	if diff := cmp.Diff([]float64{2}, got[0].Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRowsAreLossless(t *testing.T) {
	for _, want := range hour(50) {
		got, err := ParseSample(AppendSample(nil, &want.NodeSample), want.Series)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.NodeSample, got, exact); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		series, err := ParseSeries(AppendSeries(nil, want.Series))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Series, series); diff != "" {
			t.Errorf("series (-want +got):\n%s", diff)
		}
	}
}

func TestRollup(t *testing.T) {
	const step = 300_000
	fine := Rollup{}
	samples := hour(240)
	for _, s := range samples {
		for i, series := range s.Series {
			fine.Add(series, s.At, s.Values[i], step)
		}
	}
	read := func(blocks map[Group]*Block) Rollup {
		out := Rollup{}
		for _, b := range encode(t, blocks) {
			maps.Copy(out, b.Rollup(nil))
		}
		return out
	}
	if diff := cmp.Diff(fine, read(fine.Blocks()), exact); diff != "" {
		t.Errorf("fine (-want +got):\n%s", diff)
	}
	coarse := fine.Coarser(3_600_000)
	if diff := cmp.Diff(coarse, read(coarse.Blocks()), exact); diff != "" {
		t.Errorf("coarse (-want +got):\n%s", diff)
	}
	want, got := telemetry.Series{Metric: telemetry.MetricMemoryUsed}, uint64(0)
	for _, b := range coarse[want] {
		got += b.Count
	}
	if got != 240 {
		t.Errorf("the coarse rollup counts %d values of 240", got)
	}
	// Only what is asked for, with the counts that belong to another series.
	for g, b := range fine.Blocks() {
		wanted := func(s telemetry.Series) bool { return s.Label == "/data" }
		part, err := Decode(b.Encode(), WantRollup(wanted))
		if err != nil {
			t.Fatal(err)
		}
		for series, buckets := range part.Rollup(wanted) {
			if diff := cmp.Diff(fine[series], buckets, exact); diff != "" || series.Label != "/data" {
				t.Errorf("group %d: %v (-want +got):\n%s", g, series, diff)
			}
		}
	}
}

func TestSumsOfDecimalsAreDecimals(t *testing.T) {
	var b Bucket
	for range 10 {
		b.Add(0.1)
	}
	if b.Sum != 1 || b.Count != 10 {
		t.Errorf("ten times 0.1 is %v of %d", b.Sum, b.Count)
	}
}

// TestGolden makes sure that what was stored years ago can still be read.
func TestGolden(t *testing.T) {
	samples := hour(24)
	blocks := Blocks(samples)
	fine := Rollup{}
	for _, s := range samples {
		for i, series := range s.Series {
			if !math.IsNaN(s.Values[i]) {
				fine.Add(series, s.At, s.Values[i], 300_000)
			}
		}
	}
	for name, b := range map[string]*Block{"samples": blocks[0], "filesystems": blocks[3], "other": blocks[6], "rollup": fine.Blocks()[3]} {
		path := filepath.Join("testdata", name+".v1")
		if *update {
			if err := os.WriteFile(path, b.Encode(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(golden, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(*b, got, exact); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	path := filepath.Join("testdata", "sample.v1")
	if *update {
		if err := os.WriteFile(path, AppendSample(nil, &samples[20].NodeSample), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSample(golden, samples[20].Series)
	if diff := cmp.Diff(samples[20].NodeSample, got, exact); diff != "" || err != nil {
		t.Errorf("sample: %v (-want +got):\n%s", err, diff)
	}
}
