// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build race

package ingest

// crowdSize is small: handshakes take ten times as long with the race detector.
const crowdSize = 1_000
