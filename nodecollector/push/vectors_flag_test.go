// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import "flag"

// go test ./nodecollector/... -args -vectors FILE gives the flag to every package.
var _ = flag.String("vectors", "", "not for this package")
