// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package invariant

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/ledger"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

// Agent is an agent under test: what it saw and what it wrote down.
type Agent struct {
	// Source says what each record is.
	Source *source.Source
	// Ledger says what was appended.
	Ledger *ledger.Ledger
}

// ID is a record: the N-th of a stream of an agent.
type ID struct {
	// Agent is its place in the list.
	Agent int
	// N is from 0.
	N uint64
}

// Place is a sequence number.
type Place struct {
	// Stream and Epoch of the number.
	Stream telemetry.Stream
	// Epoch of the number.
	Epoch telemetry.Epoch
	// Seq is the number.
	Seq uint64
}

// Row is one stored record. Its Place is zero but for the stream where the history
// does not show numbers.
type Row struct {
	ID
	Place
}

// Implied is a deletion that the end of a snapshot implied.
type Implied struct {
	Place
	// UID of the object that was not in the snapshot.
	UID string
}

// Bucket is a point of a rollup.
type Bucket struct {
	// Agent and Node the samples are of.
	Agent int
	// Node is from 0.
	Node uint64
	// At is the beginning, history.FineStep long.
	At time.Time
	// Count and Sum are those of the samples.
	Count uint64
	// Sum of the values.
	Sum float64
}

// RouteSum is the sum of all slices of a route.
type RouteSum struct {
	// Agent and Route the slices are of.
	Agent int
	// Route is from 0.
	Route uint64
	// Slices and Total are sums.
	Slices uint64
	// Total of the requests.
	Total float64
}

// Stored is what the history shows.
type Stored struct {
	// Rows of all streams.
	Rows []Row
	// Implied deletions.
	Implied []Implied
	// Strange says what is stored that no source can have said.
	Strange []string
	// Objects are those that exist, by the record that shows them.
	Objects []Row
	// Open anomalies, by the record that says so.
	Open []Row
	// Rollups of samples.
	Rollups []Bucket
	// Sums of slices.
	Sums []RouteSum
	// Gaps are where something is missing.
	Gaps []history.Gap
	// Quarantined is what was set aside.
	Quarantined []string
	// Offsets are how far each epoch has come.
	Offsets map[Place]uint64
}

// Rules say what a scenario allows.
type Rules struct {
	// Drops: gaps may cover records, as the spool was too small.
	Drops bool
	// Torn: the end of an epoch may be missing where a later one says so first, as
	// somebody damaged the spool.
	Torn bool
	// Contested: agents may have given one number to two records, as they use one
	// identity and one spool's past. Only one of the records is stored then.
	Contested bool
}
