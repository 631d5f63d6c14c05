// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import (
	"fmt"
	"iter"
	"slices"
)

// Stream is one of the kinds of telemetry that are numbered, spooled, sent and
// acknowledged independently of each other. The numbers are part of the wire
// format and never change their meaning.
type Stream uint8

// The streams.
const (
	// StreamInventory carries *ObjectDelta: what exists in the cluster.
	StreamInventory Stream = 1
	// StreamAnomalies carries *AnomalyTransition.
	StreamAnomalies Stream = 2
	// StreamEvents carries *Event.
	StreamEvents Stream = 3
	// StreamNodeMetrics carries *NodeSample.
	StreamNodeMetrics Stream = 4
	// StreamSLI carries *SLISlice.
	StreamSLI Stream = 5
	// StreamCommandOutput carries *CommandOutput.
	StreamCommandOutput Stream = 6
)

// Priority says which stream keeps its records longest when a spool is full:
// records of the stream with the lowest priority are dropped first. It reflects
// whether the cluster can tell the same again later, and who would miss it.
type Priority uint8

type streamInfo struct {
	name           string
	priority       Priority
	maxRecordBytes int
}

// streams is indexed by Stream. Node samples are the bulk and survive thinning.
// Events can be read again for an hour. Inventory can be listed again, at a price.
// SLI slices, transitions and command output cannot be had a second time.
var streams = [...]streamInfo{
	StreamInventory:     {"inventory", 3, 64 << 10},
	StreamAnomalies:     {"anomalies", 5, 256 << 10},
	StreamEvents:        {"events", 2, 32 << 10},
	StreamNodeMetrics:   {"node-metrics", 1, 256 << 10},
	StreamSLI:           {"sli", 4, 16 << 10},
	StreamCommandOutput: {"command-output", 6, 64 << 10},
}

// Streams yields every stream, in the order of their numbers.
func Streams() iter.Seq[Stream] {
	return func(yield func(Stream) bool) {
		for s := StreamInventory; s.Known(); s++ {
			if !yield(s) {
				return
			}
		}
	}
}

// ParseStream returns the stream with a name such as "node-metrics".
func ParseStream(name string) (Stream, error) {
	i := slices.IndexFunc(streams[:], func(s streamInfo) bool { return s.name == name && name != "" })
	if i < 0 {
		return 0, fmt.Errorf("parsing the stream: %q is none of the known streams", name)
	}
	return Stream(i), nil //nolint:gosec // an index of a table of seven
}

// Known reports whether this version knows the stream.
func (s Stream) Known() bool { return s > 0 && int(s) < len(streams) }

// String returns the stream's name, or "stream(9)" for an unknown one.
func (s Stream) String() string {
	if !s.Known() {
		return fmt.Sprintf("stream(%d)", uint8(s))
	}
	return streams[s].name
}

// MarshalText returns the stream's name.
func (s Stream) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stream's name.
func (s *Stream) UnmarshalText(text []byte) error {
	parsed, err := ParseStream(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Priority returns how long records of this stream are worth keeping when
// others must go: 1 is dropped first, 6 last. 0 for an unknown stream.
func (s Stream) Priority() Priority {
	if !s.Known() {
		return 0
	}
	return streams[s].priority
}

// MaxRecordBytes is the size of the largest record of this stream in its binary
// form; 0 for an unknown stream. It lies above what the bounds of each field
// let through in practice and catches records that are large in many fields.
func (s Stream) MaxRecordBytes() int {
	if !s.Known() {
		return 0
	}
	return streams[s].maxRecordBytes
}
