// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
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
	out := Identity{Pinned: in.Pinned}
	byAge := slices.SortedFunc(maps.Keys(in.Holders), func(a, b string) int {
		if c := in.Holders[a].LastSeen.Compare(in.Holders[b].LastSeen); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	if out.Pinned == "" {
		for _, id := range byAge {
			if in.Expected == "" || in.Expected == id {
				out.Pinned = id
				break
			}
		}
	}
	for _, id := range byAge {
		end := in.Holders[id].LastSeen.Add(conflictWindow)
		if id != out.Pinned && now.Before(end) {
			out.Conflicting, out.NextCheck = id, end
		}
	}
	// After a restart the hub has not seen the other cluster itself.
	if end := in.WatchedSince.Add(conflictWindow); out.Conflicting == "" && in.Conflicting != "" &&
		in.Conflicting != out.Pinned && now.Before(end) {
		if _, seen := in.Holders[in.Conflicting]; !seen {
			out.Conflicting, out.NextCheck = in.Conflicting, end
		}
	}
	switch {
	case in.Expected != "" && out.Pinned != "" && out.Pinned != in.Expected:
		out.Conflict = fmt.Sprintf("spec.expectedClusterID is %s, but cluster %s is pinned: "+
			"correct the field, or delete this object and join anew", in.Expected, out.Pinned)
	case out.Conflicting != "" && out.Pinned == "":
		out.Conflict = fmt.Sprintf("cluster %s uses this identity, but spec.expectedClusterID is %s", out.Conflicting, in.Expected)
	case out.Conflicting != "":
		out.Conflict = fmt.Sprintf("cluster %s uses this identity too, which belongs to %s: "+
			"join the other cluster as a ManagedCluster of its own", out.Conflicting, out.Pinned)
	}
	return out
}
