// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// leaseGrace is how late a heartbeat may be before rules look at it.
const leaseGrace = 40 * time.Second

// leases keeps the heartbeats of nodes from running out while nobody can hear them.
type leases struct {
	// known are the latest, withdrawn those that the engine was told to forget.
	known     map[facts.Ref]*facts.Lease
	withdrawn map[facts.Ref]bool
	// silent while the API server does not answer, refused while it does not let
	// the agent read them.
	silent, refused bool
}

func newLeases() *leases {
	return &leases{known: map[facts.Ref]*facts.Lease{}, withdrawn: map[facts.Ref]bool{}}
}

// hear takes a heartbeat and says whether the engine may see it.
func (l *leases) hear(lease *facts.Lease) bool {
	l.known[lease.Ref] = lease
	if l.refused || l.silent {
		l.withdrawn[lease.Ref] = true
		return false
	}
	return true
}

func (l *leases) forget(ref facts.Ref) {
	delete(l.known, ref)
	delete(l.withdrawn, ref)
}

// suspend returns those that the engine has to forget, which are those that have not
// run out yet, after silent or refused was set.
func (l *leases) suspend(now time.Time) []facts.Ref {
	var refs []facts.Ref
	for ref, lease := range l.known {
		if !l.withdrawn[ref] && lease.Renewed.Add(leaseGrace).After(now) {
			l.withdrawn[ref] = true
			refs = append(refs, ref)
		}
	}
	return refs
}

// resume returns those that the engine may see again, after silent or refused was
// taken back. Each gets the full time to be renewed, since it may have been unable
// to.
func (l *leases) resume(now time.Time) []*facts.Lease {
	if l.silent || l.refused {
		return nil
	}
	again := make([]*facts.Lease, 0, len(l.withdrawn))
	for ref := range l.withdrawn {
		lease := *l.known[ref]
		if lease.Renewed.Before(now) {
			lease.Renewed = now
		}
		again = append(again, &lease)
	}
	clear(l.withdrawn)
	return again
}
