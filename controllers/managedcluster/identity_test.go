// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"strings"
	"testing"
	"time"
)

const (
	idA = "aaaaaaaa-0000-4000-8000-000000000001"
	idB = "bbbbbbbb-0000-4000-8000-000000000002"
)

func TestClusterIDOf(t *testing.T) {
	for holder, want := range map[string]string{
		idA + "/agent-1":                   idA,
		idA + "/a/b":                       idA,
		idA:                                "",
		idA + "/":                          "",
		"/agent":                           "",
		"":                                 "",
		"kube-system/agent":                "",
		strings.ToUpper(idA) + "/agent":    "",
		idA + "0/agent":                    "",
		" " + idA + "/agent":               "",
		strings.Repeat("a", 36) + "/agent": "",
	} {
		got, ok := ClusterIDOf(holder)
		if ok != (want != "") || got != want {
			t.Errorf("%q: got %q, %v", holder, got, ok)
		}
	}
}

func TestDecideIdentity(t *testing.T) {
	at := func(minutes int) Holder {
		return Holder{LastSeen: noon.Add(time.Duration(minutes) * time.Minute), Renewed: true}
	}
	for name, c := range map[string]struct {
		in                  IdentityInput
		pinned, conflicting string
		conflict            bool
		next                time.Duration
	}{
		"nobody":               {in: IdentityInput{}},
		"the first is pinned":  {in: IdentityInput{Holders: map[string]Holder{idA: at(0)}}, pinned: idA},
		"the earlier of two":   {in: IdentityInput{Holders: map[string]Holder{idA: at(0), idB: at(-1)}}, pinned: idB, conflicting: idA, conflict: true, next: 15 * time.Minute},
		"stays pinned":         {in: IdentityInput{Pinned: idA}, pinned: idA},
		"a clone":              {in: IdentityInput{Pinned: idA, Holders: map[string]Holder{idA: at(0), idB: at(-5)}}, pinned: idA, conflicting: idB, conflict: true, next: 10 * time.Minute},
		"a clone gone silent":  {in: IdentityInput{Pinned: idA, Conflicting: idB, Holders: map[string]Holder{idA: at(0), idB: at(-15)}, WatchedSince: noon}, pinned: idA},
		"expected":             {in: IdentityInput{Expected: idA, Holders: map[string]Holder{idA: at(0)}}, pinned: idA},
		"unexpected":           {in: IdentityInput{Expected: idB, Holders: map[string]Holder{idA: at(0)}}, conflicting: idA, conflict: true, next: 15 * time.Minute},
		"unexpected, then not": {in: IdentityInput{Expected: idB, Holders: map[string]Holder{idA: at(-1), idB: at(0)}}, pinned: idB, conflicting: idA, conflict: true, next: 14 * time.Minute},
		"expected afterwards":  {in: IdentityInput{Expected: idB, Pinned: idA, Holders: map[string]Holder{idA: at(0)}}, pinned: idA, conflict: true},
		"restarted in a conflict": {
			in:     IdentityInput{Pinned: idA, Conflicting: idB, WatchedSince: noon.Add(-time.Minute)},
			pinned: idA, conflicting: idB, conflict: true, next: 14 * time.Minute,
		},
		"restarted long ago": {
			in:     IdentityInput{Pinned: idA, Conflicting: idB, WatchedSince: noon.Add(-15 * time.Minute)},
			pinned: idA,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := DecideIdentity(c.in, noon)
			if got.Pinned != c.pinned || got.Conflicting != c.conflicting || (got.Conflict != "") != c.conflict {
				t.Errorf("got %+v", got)
			}
			var next time.Duration
			if !got.NextCheck.IsZero() {
				next = got.NextCheck.Sub(noon)
			}
			if next != c.next {
				t.Errorf("next check in %s, want %s", next, c.next)
			}
		})
	}
}

func TestConflictEndsAtItsCheck(t *testing.T) {
	in := IdentityInput{Pinned: idA, Holders: map[string]Holder{idB: {LastSeen: noon, Renewed: true}}}
	first := DecideIdentity(in, noon)
	if got := DecideIdentity(in, first.NextCheck.Add(-1)); got.Conflict == "" {
		t.Error("ended before its time")
	}
	if got := DecideIdentity(in, first.NextCheck); got.Conflict != "" || got.Conflicting != "" {
		t.Errorf("has not ended: %+v", got)
	}
}
