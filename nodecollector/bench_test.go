// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"testing"
	"time"
)

// BenchmarkCollect takes samples of this machine, and of trees, which cost opening
// each file in place of what the kernel does to write it.
func BenchmarkCollect(b *testing.B) {
	b.Run("this machine", func(b *testing.B) {
		c, err := New(Options{Node: "node-1"})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		takeSamples(b, c)
	})
	for _, name := range []string{"metal-64-cores", "veth-300", "modern-20-fields"} {
		b.Run(name, func(b *testing.B) {
			dir := treePath(name, "a")
			c := newTestCollector(b, dir, func(o *Options) { o.Statfs = statfsFrom(machines()[name].statfs, dir) })
			takeSamples(b, c)
		})
	}
}

func takeSamples(b *testing.B, c *Collector) {
	b.Helper()
	b.ReportAllocs()
	now := time.Now()
	for b.Loop() {
		now = now.Add(15 * time.Second)
		if _, err := c.Collect(b.Context(), now); err != nil {
			b.Fatal(err)
		}
	}
}

// A sample allocates its values and little more, whatever the machine has.
func TestAllocations(t *testing.T) {
	for name, most := range map[string]float64{"metal-64-cores": 130, "veth-300": 60, "no-psi": 60} {
		dir := treePath(name, "a")
		c := newTestCollector(t, dir, func(o *Options) { o.Statfs = statfsFrom(machines()[name].statfs, dir) })
		now := treeStart
		for range rareEvery { // what is read seldom is read again every so often
			collect(t, c, now)
		}
		got := testing.AllocsPerRun(rareEvery-2, func() {
			now = now.Add(15 * time.Second)
			if _, err := c.Collect(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("a sample of %s makes %g allocations, at most %g are allowed", name, got, most)
		}
	}
}
