// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package app

// returnEvery is after how many samples memory is given back. What is live is less
// than 1 MiB and a sample adds some 10 KiB, so that the runtime would let a few MiB
// of garbage gather, on every node. It takes a millisecond or two of CPU time, once
// in five minutes.
const returnEvery = 20

// thrift gives memory back every so often, and at first, for starting takes more
// than running.
type thrift struct {
	giveBack func()
	samples  int
}

// sampled notes that a sample was taken.
func (t *thrift) sampled() {
	if t.samples%returnEvery == 0 {
		t.giveBack()
	}
	t.samples++
}
