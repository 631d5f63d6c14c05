// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// TestWindowAgainstAMap compares a window with what it stands for.
func TestWindowAgainstAMap(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 2))
		var w window
		seen := map[uint64]bool{}
		base := 1 + random.Uint64N(1_000_000)
		has := func(seq uint64) bool { return seen[seq] || w.highest >= seq && w.highest-seq >= windowSize }
		for range 3000 {
			first := base + random.Uint64N(6000)
			last := first + random.Uint64N(3)
			if random.IntN(100) == 0 {
				last = first + random.Uint64N(9000)
			}
			unseen := uint64(0)
			for seq := first; seq <= last; seq++ {
				if w.has(seq) != has(seq) {
					t.Fatalf("seed %d: has(%d) is %t, highest %d", seed, seq, w.has(seq), w.highest)
				}
				if below := w.highest >= seq && w.highest-seq >= windowSize; below || !has(seq) {
					unseen++
				}
			}
			if got := w.unseen(first, last); got != unseen {
				t.Fatalf("seed %d: %d of %d to %d are unseen, want %d", seed, got, first, last, unseen)
			}
			w.add(first, last)
			for seq := first; seq <= last; seq++ {
				seen[seq] = true
			}
			base += random.Uint64N(4)
		}
	}
}

func TestWindowAtItsEnds(t *testing.T) {
	var w window
	if w.has(1) {
		t.Error("an empty window has 1")
	}
	w.add(1, math.MaxUint64) // must not take for ever
	for _, seq := range []uint64{1, math.MaxUint64 - windowSize, math.MaxUint64} {
		if !w.has(seq) {
			t.Errorf("%d was not seen", seq)
		}
	}
	if n := w.unseen(math.MaxUint64-1, math.MaxUint64); n != 0 {
		t.Errorf("%d unseen", n)
	}
}

func TestLivesAreBounded(t *testing.T) {
	var l lives
	first := l.of(1)
	first.seen.add(7, 7)
	for epoch := telemetry.Epoch(2); epoch <= 100; epoch++ {
		l.of(epoch)
		if l.of(1) != first || !l.of(1).seen.has(7) {
			t.Fatalf("at epoch %d, a life that speaks was forgotten", epoch)
		}
	}
	if len(l) != maxLives {
		t.Errorf("%d lives are remembered", len(l))
	}
	if l.of(50).seen.has(1) {
		t.Error("a life that was forgotten has numbers")
	}
}
