// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"hash/maphash"
	"slices"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// maxSeriesSets is how many different lists of series are shared.
const maxSeriesSets = 512

// seriesSets lets samples of the same series share one list: nodes of one make have
// the same. It is a value of its owner, who locks it.
type seriesSets struct {
	seed maphash.Seed
	sets map[uint64][]telemetry.Series
}

func newSeriesSets() seriesSets {
	return seriesSets{seed: maphash.MakeSeed(), sets: map[uint64][]telemetry.Series{}}
}

// share returns a list that is equal, and was returned before if there is one.
func (s *seriesSets) share(series []telemetry.Series) []telemetry.Series {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for i := range series {
		maphash.WriteComparable(&h, series[i])
	}
	key := h.Sum64()
	if known, ok := s.sets[key]; ok && slices.Equal(known, series) {
		return known
	}
	if len(s.sets) >= maxSeriesSets {
		clear(s.sets)
	}
	s.sets[key] = series
	return series
}
