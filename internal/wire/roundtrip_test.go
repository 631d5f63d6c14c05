// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//nolint:gosec // numbers of test data are small, or meant to overflow
package wire_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// same compares floats by their bits and takes an empty list for a missing one.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal)),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
}

func roundTrip(t *testing.T, enc *wire.Encoder, dec *wire.Decoder, b *telemetry.Batch) {
	t.Helper()
	got, err := dec.Decode(encode(t, enc, b))
	if err != nil {
		t.Fatalf("decoding: %v", err)
	}
	if len(got.Poison) > 0 || got.UnknownFields > 0 {
		t.Fatalf("poison %v, %d unknown fields, none expected", got.Poison, got.UnknownFields)
	}
	if diff := cmp.Diff(*b, got.Batch, same); diff != "" {
		t.Fatalf("the batch changed (-sent +received):\n%s", diff)
	}
}

func TestRoundTripOfRealisticBatches(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		t.Run(stream.String(), func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 60, 300} {
				roundTrip(t, enc, dec, newWorld(uint64(n)).batch(stream, n))
			}
			roundTrip(t, enc, dec, fixture(stream))
		})
	}
}

// chaos fills every field with the most awkward values that are valid.
type chaos struct{ *rand.Rand }

func (c chaos) text(limit int) string {
	switch c.IntN(6) {
	case 0:
		return ""
	case 1:
		return telemetry.Clip(strings.Repeat("é世\U0001F600\n\x7f", 1+c.IntN(limit)), limit)
	default:
		words := []string{"a", "default", "kube-system", " ", "\u202e", "x\ty", "0", "00000000-0000-4000-8000-000000000000", "ABCDEF00-0000-4000-8000-000000000000"}
		return telemetry.Clip(words[c.IntN(len(words))], limit)
	}
}

func (c chaos) must(limit int) string { return telemetry.Clip("m"+c.text(limit), limit) }

func (c chaos) time() time.Time {
	switch c.IntN(4) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(c.Int64N(253402300799), 0).UTC()
	default:
		return time.UnixMilli(c.Int64N(253402300799000)).UTC()
	}
}

func (c chaos) some() time.Time { return c.time().Add(time.Hour).Truncate(time.Millisecond) }

func (c chaos) required() time.Time {
	if t := c.some(); t.Year() >= 1970 && t.Year() <= 9999 {
		return t
	}
	return time.Unix(0, 0).UTC()
}

func (c chaos) labels(limit, size int) []telemetry.Label {
	m := map[string]string{}
	for range c.IntN(limit + 1) {
		m[c.must(telemetry.MaxLabelKey)+string(rune('a'+c.IntN(26)))] = c.text(size)
	}
	labels, _ := telemetry.Labels(m, limit, size)
	return labels
}

func (c chaos) ref() telemetry.ObjectRef {
	return telemetry.ObjectRef{Kind: c.text(20), Namespace: c.text(telemetry.MaxName), Name: c.text(telemetry.MaxName), UID: c.text(telemetry.MaxUID)}
}

func (c chaos) float() float64 {
	switch c.IntN(8) {
	case 0:
		return 0
	case 1:
		return math.Copysign(0, -1)
	case 2:
		return float64(c.Int64() >> c.IntN(63))
	case 3:
		return math.Round(c.NormFloat64()*1e5) / 100
	case 4:
		return [...]float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53, 1<<53 + 2, 0.1, 1e-6, 1e-7}[c.IntN(8)]
	default:
		if f := math.Float64frombits(c.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return 1
	}
}

func (c chaos) count() float64 { return math.Abs(c.float()) }

func (c chaos) payload(stream telemetry.Stream) telemetry.Payload {
	switch stream {
	case telemetry.StreamInventory:
		return c.object()
	case telemetry.StreamAnomalies:
		return &telemetry.AnomalyTransition{
			Rule: c.must(telemetry.MaxName), Fingerprint: c.must(telemetry.MaxUID), State: telemetry.AnomalyState(1 + c.IntN(255)),
			Severity: telemetry.Severity(1 + c.IntN(255)), Object: c.ref(), Owner: c.ref(), TemplateHash: c.text(telemetry.MaxUID), Container: c.text(telemetry.MaxName),
			Node: c.text(telemetry.MaxName), Reason: c.text(telemetry.MaxReason), Message: c.text(telemetry.MaxMessage), Count: c.Uint32(), Since: c.required(),
			Evidence: c.labels(telemetry.MaxAttributes, telemetry.MaxLabelValue),
		}
	case telemetry.StreamEvents:
		return &telemetry.Event{
			UID: c.must(telemetry.MaxUID), ResourceVersion: c.Uint64(), Namespace: c.text(telemetry.MaxName), Name: c.text(telemetry.MaxName),
			Type: telemetry.EventType(1 + c.IntN(255)), Reason: c.text(telemetry.MaxReason), Message: c.text(telemetry.MaxMessage), Regarding: c.ref(),
			FieldPath: c.text(telemetry.MaxLabelValue), Controller: c.text(telemetry.MaxReason), Host: c.text(telemetry.MaxReason), Count: 1 + c.Uint32N(math.MaxUint32),
			FirstSeen: c.time(), LastSeen: c.required(),
		}
	case telemetry.StreamNodeMetrics:
		return c.sample()
	case telemetry.StreamSLI:
		return c.slice()
	default:
		last := c.IntN(2) == 0
		data := make([]byte, c.IntN(200))
		for i := range data {
			data[i] = byte(c.Uint32())
		}
		return &telemetry.CommandOutput{
			CommandUID: c.must(telemetry.MaxUID), ExecutionID: c.must(telemetry.MaxUID), Index: c.Uint32(), Source: telemetry.OutputSource(c.IntN(256)),
			Last: last, Truncated: last && c.IntN(2) == 0, Data: data,
		}
	}
}

func (c chaos) object() *telemetry.ObjectDelta {
	o := &telemetry.ObjectDelta{
		Op: telemetry.DeltaOp(1 + c.IntN(4)), Kind: telemetry.Kind(c.must(telemetry.MaxReason)), Namespace: c.text(telemetry.MaxName), Name: c.must(telemetry.MaxName),
		UID: c.must(telemetry.MaxUID), ResourceVersion: c.Uint64(), Generation: c.Int64(), ObservedGeneration: c.Int64(), Owner: c.ref(), Node: c.text(telemetry.MaxName),
		Phase: c.text(telemetry.MaxReason), Reason: c.text(telemetry.MaxReason), Message: c.text(telemetry.MaxMessage), Ready: telemetry.Readiness(c.IntN(256)),
		Restarts: c.Int32(), Created: c.time(), Deleted: c.time(), Labels: c.labels(6, 80), Attributes: c.labels(6, 80),
	}
	if c.IntN(2) == 0 {
		o.UID = newWorld(c.Uint64()).uid()
		o.Replicas = telemetry.Replicas{Desired: c.Int32(), Current: c.Int32(), Updated: c.Int32(), Ready: c.Int32(), Available: c.Int32(), Failed: c.Int32()}
	}
	for id := range c.IntN(telemetry.MaxNumbers) {
		o.Numbers = append(o.Numbers, telemetry.Number{ID: telemetry.NumberID(1 + id*2000), Value: int64(c.Uint64())})
	}
	return o
}

func (c chaos) sample() *telemetry.NodeSample {
	s := &telemetry.NodeSample{
		Node: string(rune('a' + c.IntN(3))), BootID: c.must(telemetry.MaxUID), CollectorSeq: 1 + c.Uint64N(math.MaxUint64),
		Interval: time.Duration(c.Int64N(math.MaxInt64)).Truncate(time.Millisecond), Scope: telemetry.NetworkScope(c.IntN(3)),
	}
	for i := range c.IntN(12) {
		s.Series = append(s.Series, telemetry.Series{Metric: telemetry.MetricID(1 + i), Label: c.text(9)})
		s.Values = append(s.Values, c.float())
	}
	return s
}

func (c chaos) slice() *telemetry.SLISlice {
	s := &telemetry.SLISlice{
		Route: telemetry.RouteKey{Controller: c.must(20), Kind: c.text(20), Namespace: c.text(20), Name: c.text(20), Route: c.text(telemetry.MaxLabelValue)},
		Start: c.required().Truncate(time.Minute), Total: c.count(), SumSeconds: c.count(), ExpectedScrapes: c.Uint32(), GoodScrapes: c.Uint32(),
	}
	s.Bad = s.Total * c.Float64()
	for i := range s.Classes {
		s.Classes[i] = c.count()
	}
	for range c.IntN(8) {
		s.Latency.Bounds = append(s.Latency.Bounds, c.float())
	}
	slices.Sort(s.Latency.Bounds)
	s.Latency.Bounds = slices.CompactFunc(s.Latency.Bounds, func(a, b float64) bool { return a == b })
	for range s.Latency.Bounds {
		s.Latency.Counts = append(s.Latency.Counts, c.count())
	}
	if len(s.Latency.Bounds) > 0 {
		s.Latency.Counts = append(s.Latency.Counts, c.count())
	}
	return s
}

func (c chaos) gap(seq uint64) *telemetry.Gap {
	return &telemetry.Gap{From: seq - c.Uint64N(seq), To: seq, Reason: telemetry.GapReason(1 + c.IntN(255)), Dropped: c.Uint64(), Start: c.time()}
}

func (c chaos) batch(stream telemetry.Stream) *telemetry.Batch {
	records := make([]telemetry.Record, 0, 20)
	seq := c.Uint64() >> (1 + c.IntN(60))
	for range 1 + c.IntN(20) {
		seq++
		r := telemetry.Record{Seq: seq, Time: c.required()}
		if c.IntN(6) == 0 {
			from := seq
			seq += c.Uint64() >> (4 + c.IntN(60))
			gap := c.gap(seq)
			gap.From, gap.To = from, seq
			r.Seq, r.Payload = seq, gap
		} else {
			r.Payload = c.payload(stream)
		}
		records = append(records, r)
	}
	return new(telemetry.NewBatch(stream, telemetry.Epoch(1+c.Uint64N(math.MaxUint64)), records))
}

func TestRoundTripOfAnythingValid(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		t.Run(stream.String(), func(t *testing.T) {
			for seed := range uint64(200) {
				b := chaos{rand.New(rand.NewPCG(seed, uint64(stream)))}.batch(stream)
				roundTrip(t, enc, dec, b)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func TestRoundTripOfSingleRecords(t *testing.T) {
	enc, dec := newCodec(t)
	for stream := range telemetry.Streams() {
		for seed := range uint64(100) {
			b := chaos{rand.New(rand.NewPCG(seed, uint64(stream)))}.batch(stream)
			for i := range b.Records {
				r := &b.Records[i]
				data, err := enc.AppendRecord([]byte("kept"), stream, r)
				if err != nil {
					t.Fatal(err)
				}
				if string(data[:4]) != "kept" {
					t.Fatal("what was there before has changed")
				}
				got, err := dec.DecodeRecord(stream, r.Seq, data[4:])
				if err != nil {
					t.Fatalf("stream %s, seed %d, record %d: %v", stream, seed, i, err)
				}
				if diff := cmp.Diff(*r, got, same); diff != "" {
					t.Fatalf("stream %s, seed %d, record %d changed:\n%s", stream, seed, i, diff)
				}
			}
		}
	}
}

func TestEncodingIsDeterministicAndReusable(t *testing.T) {
	enc, _ := newCodec(t)
	for stream := range telemetry.Streams() {
		b := newWorld(3).batch(stream, 80)
		first := encode(t, enc, b)
		encode(t, enc, newWorld(4).batch(telemetry.StreamEvents, 33))
		if second := encode(t, enc, b); !slices.Equal(first, second) {
			t.Errorf("%s: the same batch gave other bytes", stream)
		}
	}
}

func TestTimesAreCutToTheMillisecond(t *testing.T) {
	enc, dec := newCodec(t)
	b := fixture(telemetry.StreamEvents)
	want := b.Records[1].Time
	b.Records[1].Time = want.Add(999_999).In(time.FixedZone("elsewhere", 3600))
	got, err := dec.Decode(encode(t, enc, b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Batch.Records[1].Time, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Location() == b.Location() })); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	enc, dec := newCodec(t)
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			for stream := range telemetry.Streams() {
				b := newWorld(seed).batch(stream, 20)
				data, err := enc.Append(nil, b)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := dec.Decode(data); err != nil || !cmp.Equal(*b, got.Batch, same) {
					t.Errorf("seed %d, %s: the batch changed (%v)", seed, stream, err)
				}
			}
		})
	}
	wg.Wait()
}
