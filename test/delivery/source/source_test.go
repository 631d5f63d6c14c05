// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package source_test

import (
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/test/delivery/source"
)

func newSource(name string) *source.Source {
	return &source.Source{
		Name: name, Base: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), Nodes: 3, SampleEvery: 5 * time.Second, Values: 4, Routes: 4, Padding: 50,
		EventEvery: time.Second, AnomalyEvery: 2 * time.Second, ObjectEvery: time.Second, OutputEvery: time.Second,
	}
}

// identify returns which record of a source a payload is.
func identify(s *source.Source, at time.Time, payload telemetry.Payload) (uint64, bool) {
	switch p := payload.(type) {
	case *telemetry.ObjectDelta:
		return s.ObjectOf(p)
	case *telemetry.AnomalyTransition:
		return s.AnomalyOf(p)
	case *telemetry.Event:
		return s.EventOf(p)
	case *telemetry.NodeSample:
		return s.SampleOf(p.Node, at)
	case *telemetry.SLISlice:
		return s.SliceOf(p)
	case *telemetry.CommandOutput:
		return s.OutputOf(p)
	}
	return 0, false
}

func TestEveryRecordIsValidAndKnownAgain(t *testing.T) {
	s, other := newSource("a"), newSource("b")
	for stream := range telemetry.Streams() {
		keys := map[uint64]int{}
		for n := range uint64(600) {
			at, payload := s.Record(stream, n)
			r := telemetry.Record{Seq: n + 1, Time: at, Payload: payload}
			if err := r.Validate(stream); err != nil {
				t.Fatalf("%s %d: %v", stream, n, err)
			}
			if got, ok := identify(s, at, payload); !ok || got != n {
				t.Errorf("%s %d is taken for %d, %v", stream, n, got, ok)
			}
			if got, ok := identify(other, at, payload); ok {
				t.Errorf("%s %d is taken for the other's %d", stream, n, got)
			}
			keys[s.Key(stream, n)]++
		}
		if stream == telemetry.StreamEvents || stream == telemetry.StreamSLI {
			if len(keys) == 600 {
				t.Errorf("no record of %s is about the same as another", stream)
			}
		} else if len(keys) != 600 {
			t.Errorf("records of %s are about the same", stream)
		}
	}
}

func TestDueFollowsTime(t *testing.T) {
	s := newSource("a")
	for stream := range telemetry.Streams() {
		for n := range uint64(100) {
			at := s.Time(stream, n)
			if due := s.Due(stream, at); due <= n {
				t.Errorf("%s %d happens at %s, but only %d are due then", stream, n, at, due)
			}
			if due := s.Due(stream, at.Add(-time.Nanosecond)); due > n {
				t.Errorf("%s %d happens at %s, but %d are due before", stream, n, at, due)
			}
		}
	}
}

func TestObjectsAreWhatTheRecordsSay(t *testing.T) {
	s := newSource("a")
	model := map[string]uint64{}
	for n := range uint64(1200) {
		if got := s.Objects(n); len(got) != len(model) {
			t.Fatalf("%d objects after %d records, %d are there", len(got), n, len(model))
		}
		for uid, i := range s.Objects(n) {
			if model[uid] != i {
				t.Fatalf("after %d records %s is shown by %d, not %d", n, uid, i, model[uid])
			}
		}
		_, payload := s.Record(telemetry.StreamInventory, n)
		d, _ := payload.(*telemetry.ObjectDelta)
		if d.Op == telemetry.OpDelete {
			if _, ok := model[d.UID]; !ok {
				t.Fatalf("record %d deletes %s, which is not there", n, d.UID)
			}
			delete(model, d.UID)
		} else {
			model[d.UID] = n
		}
	}
	if len(model) < 30 || len(model) > 60 {
		t.Errorf("%d objects", len(model))
	}
}

func TestSnapshotsAreWhole(t *testing.T) {
	s := newSource("a")
	snapshot := s.Snapshot(500)
	if len(snapshot) != len(s.Objects(500))+2 {
		t.Fatalf("%d records for %d objects", len(snapshot), len(s.Objects(500)))
	}
	for i, p := range snapshot {
		r := telemetry.Record{Seq: 1, Time: s.Base, Payload: p}
		if err := r.Validate(telemetry.StreamInventory); err != nil {
			t.Fatal(i, err)
		}
	}
}
