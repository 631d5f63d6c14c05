// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// Linger says how long new records wait for company.
type Linger struct {
	// Time is how long the first one waits.
	Time time.Duration
	// Bytes is how much has to come together to go at once, uncompressed; 0 means
	// LiveBytes.
	Bytes int64
	// Eager sends the first one at once when nothing was sent for Time. Those after
	// it wait for company until Time after it was sent, so that there are not more
	// requests in a row than otherwise.
	Eager bool
}

// Size bounds a batch.
type Size struct {
	// Records is the largest number of records.
	Records int
	// Bytes is about the largest size, uncompressed.
	Bytes int64
}

// Options are what an Uplink works with. A zero field takes its default.
type Options struct {
	// Spool is what is delivered. Required.
	Spool Spool
	// Hub is where it is delivered to. Required.
	Hub Hub
	// Logger receives state changes, and no content. Default: nowhere.
	Logger logr.Logger
	// Version is the agent's version, for the User-Agent.
	Version string

	// Linger is how long records of a stream wait for company on the live lane.
	// Default: 50 ms and eager for anomalies and command output, for which people
	// wait, 100 ms for events and inventory, 2 s or 64 KiB for node metrics and SLI
	// slices. Live data is to be at most 5 s old when the hub has it: 2 s leave 3 s for the way and for a hub that
	// is slow. Waiting longer would save little, as what a cluster with many nodes
	// says every 15 s fills a batch in 2 s anyway, and with few nodes it is little.
	Linger map[telemetry.Stream]Linger
	// LiveBatch bounds a batch of the live lane. Default: 10,000 records, 1 MiB.
	LiveBatch Size
	// ReplayBatch bounds a batch of the replay lane. Default: 20,000 records, 2 MiB.
	ReplayBatch Size
	// ReplayBytesPerSecond is how fast backlog is sent, in compressed bytes.
	// Default 4 MiB, negative for no limit.
	ReplayBytesPerSecond int64

	// RetryMin and RetryMax bound the pause after failures. Default 1 s and 60 s.
	RetryMin, RetryMax time.Duration
	// RefusedMin and RefusedMax bound the pause after the hub refused the agent.
	// Default 1 min and 10 min.
	RefusedMin, RefusedMax time.Duration
	// RequestTimeout is what a request may take, besides the time that its bytes
	// take at 32 KiB/s. Default 40 s: longer than the hub waits for its database.
	RequestTimeout time.Duration
}

const (
	// slowestBytesPerSecond is the slowest line that a timeout allows for.
	slowestBytesPerSecond = 32 << 10
	// givenUpAfter is how often a single record is refused before it is discarded.
	givenUpAfter = 3
)

func defaultLinger() map[telemetry.Stream]Linger {
	return map[telemetry.Stream]Linger{
		telemetry.StreamAnomalies:     {Time: 50 * time.Millisecond, Eager: true},
		telemetry.StreamCommandOutput: {Time: 50 * time.Millisecond, Eager: true},
		telemetry.StreamEvents:        {Time: 100 * time.Millisecond},
		telemetry.StreamInventory:     {Time: 100 * time.Millisecond},
		telemetry.StreamNodeMetrics:   {Time: 2 * time.Second, Bytes: 64 << 10},
		telemetry.StreamSLI:           {Time: 2 * time.Second, Bytes: 64 << 10},
	}
}

func (o *Options) complete() error {
	if o.Spool == nil || o.Hub == nil {
		return errors.New("making the uplink: Spool and Hub are required")
	}
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	o.LiveBatch = o.LiveBatch.or(Size{Records: 10_000, Bytes: 1 << 20})
	o.ReplayBatch = o.ReplayBatch.or(Size{Records: 20_000, Bytes: 2 << 20})
	if o.ReplayBytesPerSecond == 0 {
		o.ReplayBytesPerSecond = 4 << 20
	}
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&o.RetryMin, time.Second)
	fill(&o.RetryMax, time.Minute)
	fill(&o.RefusedMin, time.Minute)
	fill(&o.RefusedMax, 10*time.Minute)
	fill(&o.RequestTimeout, 40*time.Second)
	if o.RetryMax < o.RetryMin || o.RefusedMax < o.RefusedMin {
		return errors.New("making the uplink: a longest pause is shorter than its shortest")
	}
	linger := defaultLinger()
	for stream, l := range o.Linger {
		if l.Time < 0 || l.Bytes < 0 {
			return errors.New("making the uplink: a linger is negative")
		}
		linger[stream] = l
	}
	for stream, l := range linger {
		if l.Bytes == 0 || l.Bytes > o.LiveBatch.Bytes {
			l.Bytes = o.LiveBatch.Bytes
		}
		linger[stream] = l
	}
	o.Linger = linger
	return nil
}

// or fills what is missing and keeps to the wire's limits.
func (s Size) or(value Size) Size {
	if s.Records <= 0 {
		s.Records = value.Records
	}
	if s.Bytes <= 0 {
		s.Bytes = value.Bytes
	}
	return Size{Records: min(s.Records, wire.MaxRecords), Bytes: min(s.Bytes, wire.MaxPayload)}
}

// timeout returns what a request with a body of some bytes may take.
func (o *Options) timeout(bytes int) time.Duration {
	return o.RequestTimeout + time.Duration(bytes)*time.Second/slowestBytesPerSecond
}
