// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// windowSize is how many numbers below the highest one a window remembers. A
	// collector keeps fewer samples than that.
	windowSize = 4096
	// maxLives is how many lives of a node's collectors are remembered: the present
	// one, the one before, and some for a collector that keeps falling over.
	maxLives = 4
)

// window remembers which sequence numbers were seen. What lies more than a window
// below the highest counts as seen. It is a value of its owner, who locks it.
type window struct {
	highest uint64
	bits    [windowSize / 64]uint64
}

func (w *window) bit(seq uint64) (word *uint64, mask uint64) {
	i := seq % windowSize
	return &w.bits[i/64], 1 << (i % 64)
}

// has says whether a number was seen.
func (w *window) has(seq uint64) bool {
	switch {
	case seq > w.highest:
		return false
	case w.highest-seq >= windowSize:
		return true
	}
	word, mask := w.bit(seq)
	return *word&mask != 0
}

// add notes that the numbers from first to last were seen.
func (w *window) add(first, last uint64) {
	if last > w.highest {
		if last-w.highest >= windowSize {
			w.bits = [windowSize / 64]uint64{}
		} else {
			for n := range last - w.highest {
				word, mask := w.bit(w.highest + 1 + n)
				*word &^= mask
			}
		}
		w.highest = last
	}
	if w.highest-first >= windowSize {
		first = w.highest - windowSize + 1
	}
	if first > last { // all of it lies below the window
		return
	}
	for n := range last - first + 1 { // counts, because the last number there is has no successor
		word, mask := w.bit(first + n)
		*word |= mask
	}
}

// unseen counts the numbers from first to last that were not seen. Of what lies
// below the window nobody knows, and it counts.
func (w *window) unseen(first, last uint64) uint64 {
	n := last - first + 1
	from, to := first, min(last, w.highest)
	if w.highest-min(first, w.highest) >= windowSize {
		from = w.highest - windowSize + 1
	}
	if from > to {
		return n
	}
	for i := range to - from + 1 {
		if w.has(from + i) {
			n--
		}
	}
	return n
}

// life is one process of a node's collector.
type life struct {
	epoch telemetry.Epoch
	seen  window
}

// lives are the processes of a node's collector, the one that spoke last at the
// end.
type lives []*life

// of returns the life with an epoch, a new one when it is not remembered. The one
// that was silent longest goes when there are too many.
func (l *lives) of(epoch telemetry.Epoch) *life {
	i := slices.IndexFunc(*l, func(x *life) bool { return x.epoch == epoch })
	found := &life{epoch: epoch}
	switch {
	case i >= 0:
		found = (*l)[i]
		*l = slices.Delete(*l, i, i+1)
	case len(*l) >= maxLives:
		*l = slices.Delete(*l, 0, 1)
	}
	*l = append(*l, found)
	return found
}
