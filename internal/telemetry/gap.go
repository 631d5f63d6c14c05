// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// GapReason says why records are missing. The numbers are part of the wire
// format. A reason that this version does not know is kept as its number.
type GapReason uint8

// The reasons for gaps.
const (
	// GapSpoolFull: the spool reached its size or age and dropped its oldest.
	GapSpoolFull GapReason = 1
	// GapSpoolCorrupt: the spool was damaged; what follows the damage was lost.
	GapSpoolCorrupt GapReason = 2
	// GapEpochLost: the spool was lost; the epoch begins with this gap, and how
	// much the epochs before it had not delivered is unknown.
	GapEpochLost GapReason = 3
	// GapSourceOverflow: the source produced more than was taken; these values
	// never had sequence numbers.
	GapSourceOverflow GapReason = 4
	// GapRefused: the hub refused the records and the agent gave them up.
	GapRefused GapReason = 5
	// GapTooLarge: a record was larger than the stream allows.
	GapTooLarge GapReason = 6
	// GapThinned: samples were replaced by fewer to save space.
	GapThinned GapReason = 7
)

var gapReasons = names{
	GapSpoolFull: "SpoolFull", GapSpoolCorrupt: "SpoolCorrupt", GapEpochLost: "EpochLost", GapSourceOverflow: "SourceOverflow",
	GapRefused: "Refused", GapTooLarge: "TooLarge", GapThinned: "Thinned",
}

// String returns the reason in CamelCase, or its number when unknown.
func (r GapReason) String() string { return gapReasons.name(uint8(r)) }

// MarshalText returns the reason's name.
func (r GapReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *GapReason) UnmarshalText(text []byte) error {
	value, err := gapReasons.parse(string(text))
	*r = GapReason(value)
	return err
}

// Gap marks that telemetry is missing. It is a record of the stream that the
// telemetry is missing from, at the place where it is missing, and stands for the
// sequence numbers From to To. Its stream is the batch's.
type Gap struct {
	// From is the first sequence number that the gap stands for, from 1.
	From uint64
	// To is the last one: the record's own sequence number. When nothing
	// numbered is missing (GapEpochLost, GapSourceOverflow), From equals To.
	To uint64
	// Reason says why.
	Reason GapReason
	// Dropped is how many values are missing; 0 means unknown.
	Dropped uint64
	// Start is the time of the oldest missing value; zero when unknown.
	Start time.Time
	// End is the time of the newest missing value; zero when unknown.
	End time.Time
}

func (*Gap) payload() {}

// Validate implements Payload.
func (g *Gap) Validate() error {
	var c checker
	if g.From == 0 || g.From > g.To {
		c.fail("gap.from", "%d is not from 1 to %d", g.From, g.To)
	}
	if g.Reason == 0 {
		c.fail("gap.reason", "is required")
	}
	c.time("gap.start", g.Start)
	c.time("gap.end", g.End)
	if !g.Start.IsZero() && !g.End.IsZero() && g.End.Before(g.Start) {
		c.fail("gap.end", "is before its start")
	}
	return c.err
}
