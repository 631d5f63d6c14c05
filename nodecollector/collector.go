// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Collector measures a node. It is safe for concurrent use; readings follow one
// another.
type Collector struct {
	options Options

	mu        sync.Mutex
	reader    *reader
	builder   builder
	bootID    string
	seq       uint64
	origin    time.Time
	prev, cur *Counters
	// last is when prev was read; has is false before the first reading.
	last    time.Duration
	has     bool
	scraped Counters
}

// New returns a Collector. Close it.
func New(options Options) (*Collector, error) {
	if err := options.complete(); err != nil {
		return nil, err
	}
	c := &Collector{options: options, prev: &Counters{}, cur: &Counters{}}
	c.reader = newReader(&c.options)
	var ok bool
	if c.bootID, ok = c.reader.readBootID(); !ok {
		// Still an ID that no other boot has, though this boot may get several.
		c.bootID = "unknown-" + rand.Text()
		c.options.Logger.Warn("Cannot read the ID of the boot, making one", "path", c.options.ProcPath)
	}
	return c, nil
}

// Close closes the files that the Collector keeps open.
func (c *Collector) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader.close()
}

// errNothing is for a /proc that is empty.
var errNothing = errors.New("nothing could be read")

// Collect measures the node. now is the moment; with a monotonic reading, as
// time.Now returns it, steps of the wall clock do not matter. Rates are over the
// time since the last call; the first sample has none. CollectorSeq counts from 1.
//
// It takes about a millisecond, or up to Options.ProbeTimeout when a filesystem
// stops answering, once. What cannot be read is absent from the sample. It is an
// error when nothing can be read, or when ctx ends.
func (c *Collector) Collect(ctx context.Context, now time.Time) (telemetry.NodeSample, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := processCPU()
	base := c.moment(now)
	c.reader.read(ctx, base, c.cur)
	if err := ctx.Err(); err != nil {
		// What was cut short is no baseline.
		c.has = false
		return telemetry.NodeSample{}, fmt.Errorf("measuring the node: %w", err)
	}
	prev := c.prev
	if !c.has {
		prev = &Counters{}
	}
	if c.cur.saysNothing() {
		c.has = false
		return telemetry.NodeSample{}, fmt.Errorf("measuring the node: %w: mount the machine's /proc at %s", errNothing, c.options.ProcPath)
	}
	c.builder.reset()
	c.builder.all(prev, c.cur, float64(c.options.PageSize))
	c.reader.problems.reportLeft(c.builder.left)
	if cpu := processCPU() - began; began > 0 && cpu >= 0 {
		c.builder.add(telemetry.MetricCollectorCPU, "", float64(cpu)/float64(time.Millisecond))
	}
	c.seq++
	sample := telemetry.NodeSample{
		Node: c.options.Node, BootID: c.bootID, CollectorSeq: c.seq, Scope: c.builder.scope,
	}
	if c.has && base > c.last {
		sample.Interval = (base - c.last).Round(time.Millisecond)
	}
	sample.Series, sample.Values = c.builder.take()
	c.prev, c.cur = c.cur, c.prev
	c.last, c.has = base, true
	return sample, nil
}

// Scrape reads everything and hands it to use, which must not keep it. It changes
// nothing about the samples.
func (c *Collector) Scrape(ctx context.Context, now time.Time, use func(*Counters)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader.read(ctx, c.moment(now), &c.scraped)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("measuring the node: %w", err)
	}
	use(&c.scraped)
	return nil
}

// moment is the time since the first reading.
func (c *Collector) moment(now time.Time) time.Duration {
	if c.origin.IsZero() {
		c.origin = now
	}
	return now.Sub(c.origin)
}
