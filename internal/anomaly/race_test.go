// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build race

package anomaly_test

// race is true when the race detector slows everything down.
const race = true
