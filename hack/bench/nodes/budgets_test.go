// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"path/filepath"
	"testing"
)

// What a large machine may cost, whatever else changes.
func TestBudgets(t *testing.T) {
	for _, b := range budgets() {
		t.Run(b.name, func(t *testing.T) {
			// The same work takes more CPU time on a machine that others use as well.
			var c cost
			for try := 0; try < 3 && (try == 0 || c.cpu > mostCPU); try++ {
				var err error
				if c, err = b.spent(t.Context(), filepath.Join("..", "..", "..", fixtures)); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d series, %d bytes, %s", c.series, c.sent, c.cpu)
			if c.series < 130 {
				t.Errorf("%d series are no large machine", c.series)
			}
			if c.sent > mostPayload {
				t.Errorf("%d bytes, at most %d are allowed", c.sent, mostPayload)
			}
			if c.cpu > mostCPU {
				t.Errorf("%s of CPU time, at most %s is allowed", c.cpu, mostCPU)
			}
		})
	}
}
