// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"github.com/atlhyper/atlhyper/agent/spool"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// FromDisk returns the spool on disk as what an Uplink delivers from. The spool must
// have no other reader.
func FromDisk(s *spool.Spool) Spool { return disk{s} }

type disk struct{ *spool.Spool }

// Next implements Reader.
func (d disk) Next(lane Lane, stream telemetry.Stream, maxRecords int, maxBytes int64) (telemetry.Batch, error) {
	of := spool.Live
	if lane == Replay {
		of = spool.Replay
	}
	return d.Reader(stream, of).Next(int(maxBytes), maxRecords)
}

// Backlog implements Reader.
func (d disk) Backlog() map[telemetry.Stream]Backlog {
	out := map[telemetry.Stream]Backlog{}
	for stream, s := range d.Stats().Streams {
		b := Backlog{Live: s.Records - s.Replay, Replay: s.Replay, Bytes: s.Bytes, Oldest: s.Oldest}
		for _, n := range s.Dropped {
			b.Dropped += n
		}
		out[stream] = b
	}
	return out
}
