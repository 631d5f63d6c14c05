// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

import "testing"

func TestMemoryIsGivenBackNowAndThen(t *testing.T) {
	var at []int
	sample := 0
	m := thrift{giveBack: func() { at = append(at, sample) }}
	for ; sample < 2*returnEvery+1; sample++ {
		m.sampled()
	}
	if len(at) != 3 || at[0] != 0 || at[1] != returnEvery || at[2] != 2*returnEvery {
		t.Errorf("memory was given back after the samples %v", at)
	}
}
