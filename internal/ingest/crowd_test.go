// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build !race

package ingest

// crowdSize is how many connections are held.
const crowdSize = 10_000
