// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"bytes"
	"errors"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// eventRecords returns events numbered from first to last, one second apart.
func (f *fixture) eventRecords(first, last uint64) []telemetry.Record {
	now := f.clock.Now()
	var payloads []telemetry.Payload
	for seq := first; seq <= last; seq++ {
		payloads = append(payloads, Event(name("e", int(seq)), seq, 1, now.Add(-time.Hour+time.Duration(seq)*time.Second))) //nolint:gosec // small
	}
	return Records(first, payloads, func(i int) time.Time { return now.Add(-time.Hour + time.Duration(first+uint64(i))*time.Second) }) //nolint:gosec // small
}

func (f *fixture) countEvents(cluster history.ClusterUID) int {
	f.Helper()
	return len(all(f, func(cursor string) (history.Page[history.Event], error) {
		return f.Events(f.Context(), history.EventQuery{Cluster: cluster, Range: f.lately(24 * time.Hour), Paging: history.Paging{Limit: 7, Cursor: cursor}})
	}))
}

func testAppend(f *fixture) {
	ctx := f.Context()
	if _, err := f.Offset(ctx, clusterA, telemetry.StreamEvents, epoch1); !errors.Is(err, history.ErrNotFound) {
		f.Errorf("the offset of nothing: %v", err)
	}
	f.same("first", f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 10)...), history.Ack{LastSeq: 10, Stored: 10})
	f.same("again", f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 10)...), history.Ack{LastSeq: 10, Duplicates: 10})
	f.same("a part of it", f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(4, 6)...), history.Ack{LastSeq: 10, Duplicates: 3})
	f.same("overlap", f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(8, 15)...), history.Ack{LastSeq: 15, Stored: 5, Duplicates: 3})

	_, err := f.Append(ctx, clusterA, telemetry.NewBatch(telemetry.StreamEvents, epoch1, f.eventRecords(17, 20)))
	gap, ok := errors.AsType[*history.GapError](err)
	if !ok || gap.Expected != 16 || gap.Got != 17 {
		f.Errorf("a hole: %v", err)
	}
	f.same("events", f.countEvents(clusterA), 15)

	ack := f.send(clusterA, telemetry.StreamEvents, epoch2, f.eventRecords(1, 20)...)
	f.same("new epoch", ack, history.Ack{LastSeq: 20, Stored: 20, NewEpoch: true})
	_, err = f.Append(ctx, clusterA, telemetry.NewBatch(telemetry.StreamEvents, epoch2, f.eventRecords(22, 25)))
	gap, ok = errors.AsType[*history.GapError](err)
	if !ok || gap.Expected != 21 || gap.Got != 22 {
		f.Errorf("a hole in the new epoch: %v", err)
	}
	f.same("events of both epochs", f.countEvents(clusterA), 20)

	gaps, err := f.Gaps(ctx, history.LedgerQuery{Cluster: clusterA, Range: f.lately(time.Hour)})
	f.must(err)
	f.same("a new epoch is no loss", gaps.Items, []history.Gap(nil))

	// What the agent dropped is a record too; the first part had been stored.
	dropped := &telemetry.Gap{From: 19, To: 30, Reason: telemetry.GapSpoolFull, Dropped: 12, Start: f.clock.Now().Add(-time.Hour), End: f.clock.Now()}
	ack = f.send(clusterA, telemetry.StreamEvents, epoch2, telemetry.Record{Seq: 30, Time: f.clock.Now(), Payload: dropped})
	f.same("a gap", ack, history.Ack{LastSeq: 30, Stored: 1})
	gaps, err = f.Gaps(ctx, history.LedgerQuery{Cluster: clusterA, Range: f.lately(time.Hour), Paging: history.Paging{Limit: 1}})
	f.must(err)
	f.same("the trimmed gap", gaps.Items, []history.Gap{{
		Key:   telemetry.Key{ClusterUID: string(clusterA), Stream: telemetry.StreamEvents, Epoch: epoch2},
		Noted: f.clock.Now(), Gap: telemetry.Gap{From: 21, To: 30, Reason: telemetry.GapSpoolFull, Dropped: 10, Start: dropped.Start, End: dropped.End},
	}})
}

func testRefusals(f *fixture) {
	ctx := f.Context()
	f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(1, 10)...)
	for name, change := range map[string]func([]telemetry.Record) []telemetry.Record{
		"same batch":   func(r []telemetry.Record) []telemetry.Record { return r },
		"part of it":   func(r []telemetry.Record) []telemetry.Record { return r[3:7] },
		"with a tail":  func(r []telemetry.Record) []telemetry.Record { return append(r, f.eventRecords(11, 12)...) },
		"time differs": func(r []telemetry.Record) []telemetry.Record { r[4].Time = r[4].Time.Add(time.Second); return r },
	} {
		records := f.eventRecords(1, 10)
		if name != "time differs" {
			records[4].Payload.(*telemetry.Event).Message = "another" //nolint:forcetypeassert // made above
		}
		_, err := f.Append(ctx, clusterA, telemetry.NewBatch(telemetry.StreamEvents, epoch1, change(records)))
		f.refused("other content: "+name, err, history.ErrContentMismatch)
	}
	f.same("nothing was added", f.countEvents(clusterA), 10)

	holes := telemetry.NewBatch(telemetry.StreamEvents, epoch1, f.eventRecords(11, 13))
	holes.Records = append(holes.Records[:1:1], holes.Records[2])
	for name, b := range map[string]telemetry.Batch{
		"holes":          holes,
		"no stream":      {Epoch: epoch1, FirstSeq: 1, LastSeq: 1},
		"no epoch":       telemetry.NewBatch(telemetry.StreamEvents, 0, f.eventRecords(11, 13)),
		"no records":     {Stream: telemetry.StreamEvents, Epoch: epoch1, FirstSeq: 11, LastSeq: 11},
		"backwards":      {Stream: telemetry.StreamEvents, Epoch: epoch1, FirstSeq: 11, LastSeq: 10},
		"huge sequence":  telemetry.NewBatch(telemetry.StreamEvents, epoch1, []telemetry.Record{{Seq: 1 << 63, Time: f.clock.Now(), Payload: Event("x", 1, 1, f.clock.Now())}}),
		"beyond its end": {Stream: telemetry.StreamEvents, Epoch: epoch1, FirstSeq: 11, LastSeq: 99, Records: f.eventRecords(11, 13)},
	} {
		_, err := f.Append(ctx, clusterA, b)
		f.refused(name, err, history.ErrInvalidBatch)
	}
	_, err := f.Append(ctx, "", telemetry.NewBatch(telemetry.StreamEvents, epoch1, f.eventRecords(1, 1)))
	f.refused("no cluster", err, history.ErrInvalidBatch)
	o, err := f.Offset(ctx, clusterA, telemetry.StreamEvents, epoch1)
	f.must(err)
	f.same("offset", o.LastSeq, uint64(10))
}

func testQuarantine(f *fixture) {
	ctx, now := f.Context(), f.clock.Now()
	records := f.eventRecords(1, 10)
	event := func(i int) *telemetry.Event { return records[i].Payload.(*telemetry.Event) } //nolint:forcetypeassert // made above
	event(1).Message = "a NUL \x00 byte"
	event(2).LastSeen = now.Add(history.MaxAhead + time.Second)
	event(3).LastSeen = now.Add(-31 * 24 * time.Hour)
	event(4).Reason = "not \xff UTF-8"
	records[5].Payload = Transition("R", "f", telemetry.AnomalyRaised, telemetry.SeverityInfo)
	batch := telemetry.NewBatch(telemetry.StreamEvents, epoch1, records)
	batch.Records = append(batch.Records[:6:6], batch.Records[8:]...) // the decoder refused 7 and 8
	ack, err := f.Append(ctx, clusterA, batch,
		history.Refused{FirstSeq: 7, LastSeq: 7, Reason: "event: unreadable", Raw: []byte{0, 1, 0xff}},
		history.Refused{FirstSeq: 8, LastSeq: 8, Reason: "event: too long", Raw: bytes.Repeat([]byte{7}, 2*history.MaxRefusedBytes)})
	f.must(err)
	f.same("ack", ack, history.Ack{LastSeq: 10, Stored: 3, Quarantined: 7})
	f.same("events", f.countEvents(clusterA), 3)
	items := all(f, func(cursor string) (history.Page[history.Quarantined], error) {
		return f.Quarantine(ctx, history.LedgerQuery{Cluster: clusterA, Range: f.lately(time.Hour), Paging: history.Paging{Limit: 3, Cursor: cursor}})
	})
	f.same("quarantined", len(items), 7)
	for _, item := range items {
		switch {
		case item.Reason == "" || item.Key.Epoch != epoch1 || item.Key.Stream != telemetry.StreamEvents:
			f.Errorf("a quarantined record without a reason or place: %+v", item)
		case item.FirstSeq == 7:
			f.same("raw", item.Raw, []byte{0, 1, 0xff})
		case item.FirstSeq == 8:
			f.same("raw is bounded", len(item.Raw), history.MaxRefusedBytes)
		}
	}
	// The stream goes on.
	f.same("next", f.send(clusterA, telemetry.StreamEvents, epoch1, f.eventRecords(11, 12)...), history.Ack{LastSeq: 12, Stored: 2})
}
