// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"context"
	"fmt"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Run collects at once and then at every multiple of interval after that, on the
// monotonic clock, and hands each sample to emit, until ctx ends; then it returns
// nil. emit should not block: a collection that takes longer than interval, or an
// emit that does, makes it leave out the moments that passed, and never shifts
// those that follow. A collection that fails is logged, once until one succeeds.
// The interval must be at least 1 s.
func (c *Collector) Run(ctx context.Context, interval time.Duration, emit func(telemetry.NodeSample)) error {
	if interval < time.Second {
		return fmt.Errorf("running the collector: an interval of %s is too short, 1s is the least", interval)
	}
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		sample, err := c.Collect(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !failed {
				c.options.Logger.Error("Cannot measure the node", "error", err)
			}
			failed = true
		default:
			failed = false
			emit(sample)
		}
		timer.Reset(untilNext(time.Since(began), interval))
	}
}

// untilNext is the time until the next multiple of interval, after a time since
// the beginning. A timer may fire a little early: what is less than a hundredth of
// the interval away has had its turn.
func untilNext(since, interval time.Duration) time.Duration {
	wait := interval - since%interval
	if wait < interval/100 {
		wait += interval
	}
	return wait
}
