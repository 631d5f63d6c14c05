// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// modelHub stores by the contract and notes everything that breaks it.
type modelHub struct {
	decoder *wire.Decoder

	mu     sync.Mutex
	epochs map[telemetry.Stream]map[telemetry.Epoch]*modelEpoch
	wrong  []string
	// batches stored, and those that had been stored before.
	batches, duplicates int
	// storedAt is when each record came.
	storedAt map[string]time.Time
	// cluster is what the stored inventory says of the cluster.
	cluster modelCluster
}

type modelEpoch struct {
	last    uint64
	records map[uint64]string
	gaps    []telemetry.Gap
}

func newModelHub(t testing.TB) *modelHub {
	decoder, err := wire.NewDecoder(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	return &modelHub{decoder: decoder, epochs: map[telemetry.Stream]map[telemetry.Epoch]*modelEpoch{}, storedAt: map[string]time.Time{}}
}

// name returns what tells a record from all others.
func name(p telemetry.Payload) string {
	switch p := p.(type) {
	case *telemetry.ObjectDelta:
		return "delta-" + strconv.FormatUint(p.ResourceVersion, 10)
	case *telemetry.Event:
		return p.UID
	case *telemetry.AnomalyTransition:
		return p.Fingerprint
	case *telemetry.NodeSample:
		return "sample-" + strconv.FormatUint(p.CollectorSeq, 10)
	case *telemetry.Gap:
		return "gap"
	default:
		return fmt.Sprintf("%T", p)
	}
}

func answer(status int, r reply) (int, http.Header, []byte) {
	body, _ := json.Marshal(&r)
	return status, http.Header{}, body
}

// take is what the hub does with a batch.
func (h *modelHub) take(stream string, body []byte) (int, http.Header, []byte) {
	decoded, err := h.decoder.Decode(body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || len(decoded.Poison) > 0 || decoded.Batch.Stream.String() != stream {
		h.fault("a batch of %s cannot be read: %v, %v", stream, err, decoded.Poison)
		return answer(http.StatusBadRequest, reply{Reason: "Malformed"})
	}
	b := decoded.Batch
	epochs := h.epochs[b.Stream]
	if epochs == nil {
		epochs = map[telemetry.Epoch]*modelEpoch{}
		h.epochs[b.Stream] = epochs
	}
	e := epochs[b.Epoch]
	if e == nil {
		e = &modelEpoch{records: map[uint64]string{}}
	}
	if b.FirstSeq > e.last+1 {
		return answer(http.StatusConflict, reply{Reason: "Gap", Expected: e.last + 1})
	}
	epochs[b.Epoch] = e
	for i := range b.Records {
		r := &b.Records[i]
		gap, isGap := r.Payload.(*telemetry.Gap)
		if r.Seq <= e.last {
			if before := e.records[r.Seq]; !isGap && before != name(r.Payload) {
				h.fault("%s %d/%d was %q and came again as %q", b.Stream, b.Epoch, r.Seq, before, name(r.Payload))
				return answer(http.StatusConflict, reply{Reason: "Mismatch"})
			}
			continue
		}
		if isGap {
			e.gaps = append(e.gaps, *gap)
		}
		e.records[r.Seq] = name(r.Payload)
		if !isGap {
			h.storedAt[name(r.Payload)] = time.Now()
		}
		if b.Stream == telemetry.StreamInventory {
			h.cluster.apply(modelVersion{b.Epoch, r.Seq}, r.Payload)
		}
	}
	if b.LastSeq <= e.last {
		h.duplicates++
	} else {
		h.batches++
	}
	e.last = max(e.last, b.LastSeq)
	return answer(http.StatusOK, reply{Acked: &e.last})
}

// records is how many records a batch has; 0 when it cannot be read.
func (h *modelHub) records(body []byte) int {
	decoded, err := h.decoder.Decode(body)
	if err != nil {
		return 0
	}
	return len(decoded.Batch.Records)
}

// offsets is what the hub says of how far an epoch has come, or, when it is not
// asked for one, the newest epochs.
func (h *modelHub) offsets(query url.Values) (int, http.Header, []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var r reply
	if name := query.Get("stream"); name != "" {
		stream, err := telemetry.ParseStream(name)
		epoch, err2 := strconv.ParseUint(query.Get("epoch"), 10, 63)
		if err != nil || err2 != nil || len(query) != 2 {
			h.fault("offsets were asked for by %v", query)
			return answer(http.StatusBadRequest, reply{Reason: "InvalidQuery"})
		}
		last := uint64(0)
		if e := h.epochs[stream][telemetry.Epoch(epoch)]; e != nil {
			last = e.last
		}
		r.Offsets = []offset{{name, epoch, &last}}
		return answer(http.StatusOK, r)
	}
	for stream, epochs := range h.epochs {
		newest := slices.Max(slices.Collect(maps.Keys(epochs)))
		r.Offsets = append(r.Offsets, offset{stream.String(), uint64(newest), &epochs[newest].last})
	}
	return answer(http.StatusOK, r)
}

// stored says when a record was stored; zero when it was not.
func (h *modelHub) stored(name string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.storedAt[name]
}

func (h *modelHub) fault(format string, args ...any) {
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

// check compares what is stored with what was sent, in the order of each stream.
// The gaps that are allowed are those of the given reasons.
func (h *modelHub) check(sent map[telemetry.Stream][]string, allowed ...telemetry.GapReason) (problems []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	problems = slices.Clone(h.wrong)
	for stream, want := range sent {
		var got []string
		epochs := h.epochs[stream]
		for _, number := range slices.SortedFunc(maps.Keys(epochs), cmp.Compare[telemetry.Epoch]) {
			e := epochs[number]
			for _, seq := range slices.Sorted(maps.Keys(e.records)) {
				if n := e.records[seq]; n != "gap" {
					got = append(got, n)
				}
			}
			for _, gap := range e.gaps {
				if !slices.Contains(allowed, gap.Reason) {
					problems = append(problems, fmt.Sprintf("%s %d: a gap %s from %d to %d", stream, number, gap.Reason, gap.From, gap.To))
				}
			}
		}
		problems = append(problems, compare(stream, want, got)...)
	}
	return problems
}

// compare says what is lost, doubled or out of order.
func compare(stream telemetry.Stream, want, got []string) (problems []string) {
	count := map[string]int{}
	for _, n := range got {
		count[n]++
	}
	lost, doubled := 0, 0
	for _, n := range want {
		switch c := count[n]; {
		case c == 0:
			lost++
		case c > 1:
			doubled++
		}
	}
	if lost > 0 || doubled > 0 || len(got) != len(want) {
		return []string{fmt.Sprintf("%s: %d sent, %d stored, %d lost, %d doubled", stream, len(want), len(got), lost, doubled)}
	}
	if !slices.Equal(want, got) {
		return []string{fmt.Sprintf("%s: the order is not kept", stream)}
	}
	return nil
}
