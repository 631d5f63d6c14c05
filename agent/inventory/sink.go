// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Sink takes telemetry in the order in which it is to reach the hub.
//
// When the sink begins a new epoch or has lost records, it calls
// Inventory.Resync with the stream, from any goroutine and also from within
// Append. Without such a call it gets each object once, at the start, and from
// then on what changes.
type Sink interface {
	// Append takes values of one stream that were seen at a time. StreamInventory
	// gets *telemetry.ObjectDelta, StreamEvents *telemetry.Event and, where
	// events had to be given up, a *telemetry.Gap whose From and To the sink sets.
	//
	// It may block for a while: meanwhile changes of the same object become
	// one. After an error, whatever of the values was taken, the inventory sends a
	// snapshot of the kind as soon as Append works again. One call per stream is
	// under way at any time. Values are not changed afterwards.
	Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error
}

// Resync makes the inventory send everything of a stream again: for
// StreamInventory a snapshot of each kind that has been listed, for StreamEvents
// every event that is known. It returns at once and does nothing for other
// streams or without a Sink.
func (i *Inventory) Resync(stream telemetry.Stream) {
	if shipper := i.shippers[stream]; shipper != nil {
		shipper.resync()
	}
}
