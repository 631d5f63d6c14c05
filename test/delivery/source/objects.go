// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package source

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Objects come in rounds of 40 records: eight objects are made and changed three
// times, then the eight of the round five before are deleted, or changed once more as
// long as there are none.
const (
	objectRound   = 40
	objectCount   = 8
	objectUpserts = 32
	objectRounds  = 5
)

// objectOp returns which object the n-th record is about, and whether it deletes it.
func objectOp(n uint64) (round, object uint64, gone bool) {
	round, object = n/objectRound, n%objectCount
	if n%objectRound >= objectUpserts && round >= objectRounds {
		return round - objectRounds, object, true
	}
	return round, object, false
}

func (s *Source) object(n uint64, at time.Time) *telemetry.ObjectDelta {
	round, object, gone := objectOp(n)
	d := &telemetry.ObjectDelta{
		Op: telemetry.OpUpsert, Kind: telemetry.KindPod, Namespace: "shop", Name: s.name("web", round, object), UID: s.name("object", round, object),
		ResourceVersion: n + 1,
	}
	if gone {
		d.Op = telemetry.OpDelete
		return d
	}
	d.Generation, d.Phase, d.Ready, d.Message = int64(n+1), "Running", telemetry.ReadyTrue, s.padding(n) //nolint:gosec // a small number
	d.Created = at
	return d
}

// ObjectOf returns which record a change in the history is, or an object as it is
// shown. It is not ok for the deletion that the end of a snapshot implies.
func (s *Source) ObjectOf(d *telemetry.ObjectDelta) (n uint64, ok bool) {
	var round, object uint64
	n = uint64(d.Generation) - 1 //nolint:gosec // checked below
	if d.Op == telemetry.OpDelete {
		n = d.ResourceVersion - 1
	}
	if n+1 == 0 || d.Generation < 0 || !s.parse(d.UID, "object", &round, &object) {
		return 0, false
	}
	r, o, gone := objectOp(n)
	return n, r == round && o == object && gone == (d.Op == telemetry.OpDelete)
}

// ObjectUID is the object that the n-th record of the inventory is about, and whether
// the record deletes it.
func (s *Source) ObjectUID(n uint64) (uid string, gone bool) {
	round, object, gone := objectOp(n)
	return s.name("object", round, object), gone
}

// Owns reports whether an object belongs to this source.
func (s *Source) Owns(uid string) bool {
	var round, object uint64
	return s.parse(uid, "object", &round, &object)
}

// Objects returns what exists after the first n records of the inventory: the UID
// of each object and the number of the record that shows it as it is.
func (s *Source) Objects(n uint64) map[string]uint64 {
	out := map[string]uint64{}
	oldest := uint64(0)
	if round := n / objectRound; round > objectRounds+1 {
		oldest = (round - objectRounds - 1) * objectRound
	}
	for i := oldest; i < n; i++ {
		round, object, gone := objectOp(i)
		uid := s.name("object", round, object)
		if gone {
			delete(out, uid)
		} else {
			out[uid] = i
		}
	}
	return out
}

// Snapshot is the full list of what exists after the first n records.
func (s *Source) Snapshot(n uint64) []telemetry.Payload {
	out := []telemetry.Payload{&telemetry.ObjectDelta{Op: telemetry.OpSnapshotBegin, Kind: telemetry.KindPod}}
	objects := s.Objects(n)
	for _, i := range objects {
		out = append(out, s.object(i, s.Time(telemetry.StreamInventory, i)))
	}
	return append(out, &telemetry.ObjectDelta{
		Op: telemetry.OpSnapshotEnd, Kind: telemetry.KindPod,
		Numbers: []telemetry.Number{{ID: telemetry.NumberObjects, Value: int64(len(objects))}},
	})
}
