// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// alone is a batch of one sample.
func alone(series []telemetry.Series, values []float64) *telemetry.Batch {
	return new(telemetry.NewBatch(telemetry.StreamNodeMetrics, 9, []telemetry.Record{{Seq: 7, Time: newWorld(1).start, Payload: &telemetry.NodeSample{
		Node: "node-1", BootID: "5b1c9d1e-77a0-4c55-9d0e-000000000001", CollectorSeq: 7, Interval: 15 * time.Second, Scope: telemetry.NetworkHost,
		Series: series, Values: values,
	}}}))
}

// unlabelled is as many series as there are values.
func unlabelled(values []float64) []telemetry.Series {
	series := make([]telemetry.Series, len(values))
	for i := range series {
		series[i].Metric = telemetry.MetricID(i + 1)
	}
	return series
}

func labelled(metrics []telemetry.MetricID, labels ...string) []telemetry.Series {
	var series []telemetry.Series
	for _, label := range labels {
		for _, m := range metrics {
			series = append(series, telemetry.Series{Metric: m, Label: label})
		}
	}
	return series
}

func numbersTo(count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// Whatever is measured arrives to the bit, as the schema says, alone and in a batch.
func TestEverySampleArrivesExactly(t *testing.T) {
	enc, dec := newCodec(t)
	descriptor := payloadDescriptor(t)
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]float64, 3000)
	for i := range random {
		switch v := rng.Uint64() >> rng.IntN(64); rng.IntN(6) {
		case 0:
			random[i] = float64(v)
		case 1:
			random[i] = float64(v) * 4096
		case 2:
			random[i] = -float64(v>>11) / math.Pow10(rng.IntN(7))
		case 3:
			random[i] = math.Round(rng.Float64()*1e6) / math.Pow10(rng.IntN(7))
		case 4:
			if f := math.Float64frombits(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
				random[i] = f
			}
		}
	}
	edges := []float64{0, 1, 2, 3, 4095, 4096, 8192, 4096 << 40, 1<<12 - 1, 1 << 12, 1<<15 - 1, 1 << 15, 1<<20 - 1, 1 << 20, 1<<28 - 1, 1 << 28, 1<<53 - 1, 1 << 53, 1<<53 + 2, 1 << 63}
	for _, v := range slices.Clip(edges) {
		edges = append(edges, -v, v/10, v/100, v/1000, v/1e4, v/1e5, v/1e6, v/1e7, v*4096)
	}
	edges = append(edges, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi, math.Copysign(0, -1), 1e22, 0.1+0.2)
	tall := numbersTo(4096)
	for name, c := range map[string]struct {
		series []telemetry.Series
		values []float64
	}{
		"nothing":              {nil, nil},
		"one":                  {[]telemetry.Series{{Metric: 65535, Label: "x"}}, []float64{1}},
		"edges":                {unlabelled(edges), edges},
		"anything":             {unlabelled(random), random},
		"cores":                {labelled([]telemetry.MetricID{11}, numbersTo(64)...), random[:64]},
		"cores that went":      {labelled([]telemetry.MetricID{11}, "0", "1", "3", "4", "9", "12", "100", "101", "4095"), random[:9]},
		"cores downwards":      {labelled([]telemetry.MetricID{11}, "3", "2", "1", "0"), random[:4]},
		"no numbers":           {labelled([]telemetry.MetricID{11}, "00", "01", "4096", "-1", "1e1", "١", "0", ""), random[:8]},
		"families":             {labelled([]telemetry.MetricID{90, 91, 92, 95, 97, 98}, "sda", "sdb", "nvme0n1", "7"), random[:24]},
		"neither order nor":    {labelled([]telemetry.MetricID{65535, 1, 300, 2, 1, 1}, "a", "a", "b", ""), random[:24]},
		"alike, and one less":  {append(labelled([]telemetry.MetricID{1, 2}, "a", "b", "c"), telemetry.Series{Metric: 1, Label: "d"}), random[:7]},
		"as tall as there are": {labelled([]telemetry.MetricID{11}, tall...), make([]float64, 4096)},
	} {
		t.Run(name, func(t *testing.T) {
			b := alone(c.series, c.values)
			roundTrip(t, enc, dec, b)
			payload, err := dec.Payload(encode(t, enc, b))
			if err != nil {
				t.Fatal(err)
			}
			message := dynamicpb.NewMessage(descriptor)
			if err := proto.Unmarshal(payload, message); err != nil {
				t.Fatal(err)
			}
			if len(c.series) > 0 {
				(&schemaReader{t: t, payload: message, checked: map[string]bool{}}).records(b)
			}
		})
	}
}

// What single samples take is the collector's traffic.
func TestSingleSamplesAreSmall(t *testing.T) {
	for name, c := range map[string]struct {
		series []telemetry.Series
		values []float64
		most   int
	}{
		"nothing":          {nil, nil, 47},
		"a thousand zeros": {labelled([]telemetry.MetricID{11}, numbersTo(1000)...), make([]float64, 1000), 47 + 15 + 128},
		"hundred percents": {labelled([]telemetry.MetricID{11}, numbersTo(100)...), values(100, func(i int) float64 { return float64(i*97%100) + 0.25 }), 47 + 14 + 3 + 240},
		"hundred sizes":    {labelled([]telemetry.MetricID{11}, numbersTo(100)...), values(100, func(i int) float64 { return float64(i+1) * 4096 * 777_777 }), 47 + 14 + 3 + 430},
		"hundred families": {labelled([]telemetry.MetricID{70, 71, 72, 73, 80}, numbersTo(100)...), make([]float64, 500), 47 + 16 + 65},
	} {
		got, err := wire.NewSampleEncoder().Append(nil, alone(c.series, c.values))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got) - wire.HeaderSize; n > c.most {
			t.Errorf("%s: %d bytes, want at most %d", name, n, c.most)
		}
	}
}

func values(n int, of func(int) float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = of(i)
	}
	return out
}

func TestSampleEncoderCompressesWhatIsLarge(t *testing.T) {
	enc, dec := wire.NewSampleEncoder(), func() *wire.Decoder { _, d := newCodec(t); return d }()
	for n, want := range map[int]wire.Codec{1: wire.CodecIdentity, 4: wire.CodecIdentity, 60: wire.CodecZstd} {
		b := newWorld(3).batch(telemetry.StreamNodeMetrics, n)
		roundTrip(t, enc, dec, b)
		h, err := wire.ParseHeader(encode(t, enc, b))
		if err != nil || h.Codec != want {
			t.Errorf("%d samples: codec %d, %v, want %d", n, h.Codec, err, want)
		}
	}
}

// A body pays for what it makes, and idle giants can.
func TestIdleGiantsFit(t *testing.T) {
	enc, dec := newCodec(t)
	records := make([]telemetry.Record, 0, 12)
	for i := range 6 {
		series := labelled([]telemetry.MetricID{11}, numbersTo(4096-i)...)
		for range 2 {
			records = append(records, telemetry.Record{Seq: uint64(len(records) + 1), Time: newWorld(1).start, Payload: &telemetry.NodeSample{
				Node: fmt.Sprintf("node-%d", i), BootID: "b", CollectorSeq: uint64(len(records) + 1), Series: series, Values: make([]float64, len(series)),
			}})
		}
	}
	for _, n := range []int{1, 4, 12} {
		roundTrip(t, enc, dec, new(telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, records[:n])))
	}
	data, err := enc.AppendRecord(nil, telemetry.StreamNodeMetrics, &records[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dec.DecodeRecord(telemetry.StreamNodeMetrics, 1, data); err != nil {
		t.Error(err)
	}
	// In more of them there is too much for one batch, which the sender halves.
	many := make([]telemetry.Record, 0, 600)
	for i := range 600 {
		r := records[0]
		r.Seq = uint64(i + 1)
		many = append(many, r)
	}
	_, err = enc.Append(nil, new(telemetry.NewBatch(telemetry.StreamNodeMetrics, 1, many)))
	if limit, ok := errors.AsType[*wire.LimitError](err); !ok || limit.Limit != wire.LimitElements || limit.Max != wire.MaxElements {
		t.Errorf("%v, want the elements", err)
	}
}
