// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var epoch = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func at(n int) time.Time { return epoch.Add(time.Duration(n) * interval) }

func filled(samples, bytes, n int) *ring {
	r := newRing(samples, bytes, 1)
	for i := range n {
		r.add(at(i), sample(uint64(i)))
	}
	return &r
}

// span is an entry in short.
type span struct {
	First, Last uint64
	Sample      bool
}

func spans(entries []entry) []span {
	var out []span
	for i := range entries {
		out = append(out, span{entries[i].first, entries[i].last, entries[i].sample != nil})
	}
	return out
}

func check(t *testing.T, r *ring, dropped uint64, want ...span) {
	t.Helper()
	if diff := cmp.Diff(want, spans(r.entries)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	samples, bytes := 0, 0
	for i := range r.entries {
		if r.entries[i].sample != nil {
			samples++
		}
		bytes += r.entries[i].bytes
	}
	if r.heldSamples != samples || r.heldBytes != bytes || r.dropped != dropped {
		t.Errorf("counted %d samples, %d bytes and %d dropped; there are %d samples, %d bytes and should be %d dropped",
			r.heldSamples, r.heldBytes, r.dropped, samples, bytes, dropped)
	}
}

func TestRingDropsTheOldestIntoOneGap(t *testing.T) {
	r := filled(3, 1<<20, 7)
	check(t, r, 4, span{1, 4, false}, span{5, 5, true}, span{6, 6, true}, span{7, 7, true})
	gap := r.entries[0].record()
	want := telemetry.Record{Seq: 4, Time: at(3), Payload: &telemetry.Gap{
		From: 1, To: 4, Reason: telemetry.GapSourceOverflow, Dropped: 4, Start: at(0), End: at(3),
	}}
	if diff := cmp.Diff(want, gap); diff != "" {
		t.Errorf("gap (-want +got):\n%s", diff)
	}
}

func TestRingIsBoundedInBytes(t *testing.T) {
	const budget = 20 << 10
	r := filled(1000, budget, 500)
	if r.heldBytes > budget || r.heldSamples < 20 {
		t.Errorf("%d samples in %d bytes", r.heldSamples, r.heldBytes)
	}
	total := r.dropped
	for range r.heldSamples {
		total++
	}
	if total != 500 {
		t.Errorf("%d held and %d dropped of 500", r.heldSamples, r.dropped)
	}
}

func TestRingOfOneSampleThatIsTooLarge(t *testing.T) {
	r := newRing(10, 100, 1)
	r.add(at(0), sample(0))
	check(t, &r, 1, span{1, 1, false})
}

func TestRingDropsNothingThatIsOnItsWay(t *testing.T) {
	r := filled(4, 1<<20, 4)
	if got := spans(r.take(2)); !cmp.Equal(got, []span{{3, 3, true}, {4, 4, true}}) {
		t.Fatalf("took %v", got)
	}
	for i := range 4 {
		r.add(at(4+i), sample(9))
	}
	check(t, r, 4, span{1, 2, false}, span{3, 3, true}, span{4, 4, true}, span{5, 6, false}, span{7, 7, true}, span{8, 8, true})
	r.settle(true)
	check(t, r, 4, span{1, 2, false}, span{5, 6, false}, span{7, 7, true}, span{8, 8, true})
	// What is not contiguous is not one batch.
	if got := spans(r.take(20)); !cmp.Equal(got, []span{{5, 6, false}, {7, 7, true}, {8, 8, true}}) {
		t.Fatalf("took %v", got)
	}
	r.settle(true)
	if got := spans(r.take(20)); !cmp.Equal(got, []span{{1, 2, false}}) {
		t.Fatalf("took %v", got)
	}
	r.settle(true)
	check(t, r, 4)
	if got := r.take(20); got != nil {
		t.Errorf("took %v of nothing", got)
	}
}

func TestRingKeepsAGapThatIsOnItsWay(t *testing.T) {
	r := filled(2, 1<<20, 4)
	if got := spans(r.take(20)); !cmp.Equal(got, []span{{1, 2, false}, {3, 3, true}, {4, 4, true}}) {
		t.Fatalf("took %v", got)
	}
	r.add(at(4), sample(4))
	r.add(at(5), sample(5))
	r.add(at(6), sample(6))
	check(t, r, 5, span{1, 2, false}, span{3, 3, true}, span{4, 4, true}, span{5, 7, false})
	r.settle(false)
	r.add(at(7), sample(7))
	r.add(at(8), sample(8))
	check(t, r, 7, span{1, 7, false}, span{8, 8, true}, span{9, 9, true})
}

func TestRingGivesUpWhatIsRefused(t *testing.T) {
	r := filled(10, 1<<20, 3)
	if n := r.refused(2, false, telemetry.GapRefused); n != 1 {
		t.Errorf("refused %d times", n)
	}
	if n := r.refused(2, true, telemetry.GapRefused); n != 2 {
		t.Errorf("refused %d times", n)
	}
	if n := r.refused(2, true, telemetry.GapRefused); n != 0 {
		t.Errorf("a gap was refused %d times", n)
	}
	check(t, r, 1, span{1, 1, true}, span{2, 2, false}, span{3, 3, true})
}

func TestGapOfAClockThatWasSetBack(t *testing.T) {
	r := newRing(1, 1<<20, 1)
	r.add(at(10), sample(0))
	r.add(at(2), sample(1))
	r.add(at(3), sample(2))
	gap, ok := r.entries[0].record().Payload.(*telemetry.Gap)
	if !ok || gap.Validate() != nil || !gap.Start.Equal(at(2)) || !gap.End.Equal(at(10)) {
		t.Errorf("gap: %+v", gap)
	}
}

func TestSamplesShareTheirSeries(t *testing.T) {
	r := filled(10, 1<<20, 3)
	first, last := r.entries[0].sample, r.entries[2].sample
	if &first.Series[0] != &last.Series[0] {
		t.Error("two samples of one list of series have two lists")
	}
	if len(series) != 3 {
		t.Errorf("the collector's own list has %d series now", len(series))
	}
	other := sample(3)
	other.Series, other.Values = other.Series[:2:2], other.Values[:2]
	r.add(at(3), other)
	if got := r.entries[3].sample; len(got.Series) != 3 || got.Series[2].Metric != telemetry.MetricCollectorDropped || len(got.Values) != 3 {
		t.Errorf("a shorter sample became %+v", got)
	}
	full := telemetry.NodeSample{Node: "node-1", BootID: boot, Series: make([]telemetry.Series, telemetry.MaxValues), Values: make([]float64, telemetry.MaxValues)}
	r.add(at(4), full)
	if got := r.entries[4].sample; len(got.Series) != telemetry.MaxValues {
		t.Errorf("a sample with no room has %d series", len(got.Series))
	}
}
