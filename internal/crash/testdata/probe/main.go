// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Probe passes a site again and again and says how often.
package main

import (
	"fmt"
	"os"

	"github.com/atlhyper/atlhyper/internal/crash"
)

func main() {
	for i := range 5 {
		crash.At("probe.other-site")
		crash.At("probe.loop-site")
		fmt.Fprintln(os.Stdout, i+1)
	}
}
