// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// conflictWindow is how long another cluster must be silent until the hub
// forgets that it used this identity.
const conflictWindow = 15 * time.Minute

var uidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ClusterIDOf returns the kube-system UID in the holder identity
// "UID/instance" of an agent's Lease. It returns "" and false when there is none.
func ClusterIDOf(holder string) (string, bool) {
	id, instance, found := strings.Cut(holder, "/")
	if !found || instance == "" || !uidPattern.MatchString(id) {
		return "", false
	}
	return id, true
}

// Holder is what the hub has seen of one cluster that held the Lease.
type Holder struct {
	// LastSeen is when the hub saw it renew, or first found it holding the Lease.
	LastSeen time.Time
	// Renewed says that the hub saw it renew, rather than finding it there.
	Renewed bool
	// Clock is what its renewals say about its clock.
	Clock ClockReading
}

// IdentityInput is what the decision about a cluster's identity rests on.
type IdentityInput struct {
	// Expected is spec.expectedClusterID.
	Expected string
	// Pinned and Conflicting are what the status shows.
	Pinned, Conflicting string
	// Holders are the clusters seen on the Lease, by ID.
	Holders map[string]Holder
	// WatchedSince is when the hub began to watch the Lease.
	WatchedSince time.Time
}

// Identity says which cluster uses an identity.
type Identity struct {
	// Pinned is the cluster the identity belongs to, empty when none has joined.
	Pinned string
	// Conflicting is another cluster that uses it now, or empty.
	Conflicting string
	// Conflict says in a sentence what is wrong; empty when nothing is.
	Conflict string
	// NextCheck is when a conflict ends if the other cluster stays silent; zero
	// when there is none or only an edit ends it.
	NextCheck time.Time
}

// DecideIdentity pins the first cluster that renews the Lease, if it is the
// expected one, and reports every other that was seen within 15 minutes.
func DecideIdentity(in IdentityInput, now time.Time) Identity {
	byAge := slices.SortedFunc(maps.Keys(in.Holders), func(a, b string) int {
		return cmp.Or(in.Holders[a].LastSeen.Compare(in.Holders[b].LastSeen), strings.Compare(a, b))
	})
	out := Identity{Pinned: in.Pinned}
	if out.Pinned == "" {
		out.Pinned = firstExpected(byAge, in.Expected)
	}
	out.Conflicting, out.NextCheck = otherUser(in, out.Pinned, byAge, now)
	out.Conflict = describeConflict(in.Expected, out.Pinned, out.Conflicting)
	return out
}

// firstExpected returns the first cluster that may be pinned, or nothing. Where
// none is expected, any may be.
func firstExpected(byAge []string, expected string) string {
	for _, id := range byAge {
		if expected == "" || expected == id {
			return id
		}
	}
	return ""
}

// otherUser returns the cluster, other than the pinned one, that used the
// identity last, and when the hub forgets it; nothing when there is none.
func otherUser(in IdentityInput, pinned string, byAge []string, now time.Time) (string, time.Time) {
	for _, id := range slices.Backward(byAge) {
		if end := in.Holders[id].LastSeen.Add(conflictWindow); id != pinned && now.Before(end) {
			return id, end
		}
	}
	if in.Conflicting == "" || in.Conflicting == pinned {
		return "", time.Time{}
	}
	// After a restart the hub has not seen the other cluster itself.
	_, seen := in.Holders[in.Conflicting]
	if end := in.WatchedSince.Add(conflictWindow); !seen && now.Before(end) {
		return in.Conflicting, end
	}
	return "", time.Time{}
}

// describeConflict says in a sentence what is wrong; it is empty when nothing is.
func describeConflict(expected, pinned, conflicting string) string {
	switch {
	case expected != "" && pinned != "" && pinned != expected:
		return fmt.Sprintf("spec.expectedClusterID is %s, but cluster %s is pinned: "+
			"correct the field, or delete this object and join anew", expected, pinned)
	case conflicting != "" && pinned == "":
		return fmt.Sprintf("cluster %s uses this identity, but spec.expectedClusterID is %s", conflicting, expected)
	case conflicting != "":
		return fmt.Sprintf("cluster %s uses this identity too, which belongs to %s: "+
			"join the other cluster as a ManagedCluster of its own", conflicting, pinned)
	}
	return ""
}
