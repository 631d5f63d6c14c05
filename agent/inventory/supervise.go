// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/version"
)

// signal tells the receiver of Changed that there is news.
func (i *Inventory) signal() {
	select {
	case i.changes <- struct{}{}:
	default:
	}
}

// note lets change alter the state behind Snapshot and passes the news on when
// it, or what follows for staleness, changed something.
func (i *Inventory) note(change func(now time.Time) (changed bool)) {
	now := time.Now()
	i.mu.Lock()
	changed := change(now)
	reassessed := i.reassess(now)
	i.mu.Unlock()
	if changed || reassessed {
		i.signal()
	}
}

// reassess derives stale and synced, with mu held, and says whether they changed.
func (i *Inventory) reassess(now time.Time) bool {
	all := make([]string, 0, len(i.kinds))
	for _, k := range i.kinds {
		if (k.served == nil || k.served()) && !slices.Contains(all, k.resource) {
			all = append(all, k.resource)
		}
	}
	stale, next := i.staleness.at(now, all)
	if !next.Equal(i.deadline) {
		i.deadline = next
		select {
		case i.wake <- struct{}{}:
		default:
		}
	}
	i.tellObserver(all, stale, now)
	changed := !slices.Equal(stale, i.stale)
	if changed {
		i.logStaleness(i.stale, stale)
		i.stale = stale
	}
	if !i.synced && !slices.ContainsFunc(i.kinds, func(k kind) bool {
		return slices.Contains(all, k.resource) && !k.synced() && !slices.Contains(stale, k.resource)
	}) {
		i.synced = true
		changed = true
	}
	return changed
}

func (i *Inventory) logStaleness(before, after []string) {
	for _, resource := range after {
		if slices.Contains(before, resource) {
			continue
		}
		reason := "the API server does not answer"
		if f, ok := i.staleness.failures[resource]; ok {
			reason = f.err.Error()
		}
		i.options.Logger.Info("Cannot read a kind any more, its counts are old", "resource", resource, "reason", reason)
	}
	for _, resource := range before {
		if !slices.Contains(after, resource) {
			i.options.Logger.Info("Can read a kind again", "resource", resource)
		}
	}
}

// superviseStaleness looks at staleness again when a deadline passes, until ctx
// ends.
func (i *Inventory) superviseStaleness(ctx context.Context) {
	for {
		i.mu.Lock()
		deadline := i.deadline
		i.mu.Unlock()
		var due <-chan time.Time
		if !deadline.IsZero() {
			due = time.After(time.Until(deadline))
		}
		select {
		case <-ctx.Done():
			return
		case <-i.wake:
		case <-due:
			i.note(func(time.Time) bool { return false })
		}
	}
}

// superviseHealth checks the API server's health until ctx ends, and reads its
// version at first, after each outage and every versionInterval.
func (i *Inventory) superviseHealth(ctx context.Context) {
	var versionRead time.Time
	for {
		outcome := check(ctx, i.clients.raw, i.options.HealthTimeout)
		if ctx.Err() != nil {
			return
		}
		i.note(func(now time.Time) bool {
			i.staleness.reached(outcome.answered, now)
			i.answering(outcome, now)
			return i.health.observe(outcome, now)
		})
		i.observeAnswers(outcome, time.Now())
		switch {
		case outcome.verdict != nil && !*outcome.verdict:
			versionRead = time.Time{}
		case time.Since(versionRead) >= i.options.versionInterval:
			if err := i.readVersion(ctx); err == nil {
				versionRead = time.Now()
			} else {
				i.options.Logger.V(1).Info("Could not read the API server's version", "reason", err.Error())
			}
		}
		if !pause(ctx, i.options.HealthInterval) {
			return
		}
	}
}

func (i *Inventory) readVersion(ctx context.Context) error {
	body, err := getRaw(ctx, i.clients.raw, "/version", i.options.HealthTimeout)
	if err != nil {
		return fmt.Errorf("reading /version: %w", err)
	}
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return fmt.Errorf("reading the answer of /version: %w", err)
	}
	i.note(func(time.Time) bool {
		changed := info.GitVersion != i.version
		i.version = info.GitVersion
		if changed {
			i.observeVersion(info.GitVersion)
		}
		return changed
	})
	return nil
}
