// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/atlhyper/atlhyper/internal/crash"
	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// laneHeader says on which lane a batch comes; laneReplay is the one for old data.
const (
	laneHeader = "Atlhyper-Lane"
	laneReplay = "replay"
)

// batch answers POST /v1/streams/{stream}/batches.
func (s *Server) batch(ctx context.Context, x *exchange) answer {
	if reason := precheck(x.r); reason != "" {
		return because(reason)
	}
	if s.draining.Load() {
		return because(ReasonShuttingDown)
	}
	open, probe, wait := s.gate.enter(x.start)
	if !open {
		return waiting(ReasonStoreUnavailable, wait)
	}
	if probe {
		defer s.gate.leave()
	}
	body := newBodyReader(x.w, x.r, s.config.Timeouts, time.Now())
	var envelope [wire.HeaderSize]byte
	h, a, ok := readHeader(body, envelope[:], x.r)
	switch {
	case !ok:
		return a
	case h.Stream != x.route.stream:
		return because(ReasonStreamMismatch)
	}
	if wait := x.state.takeBytes(h.PayloadBytes, time.Now()); wait > 0 {
		return waiting(ReasonRateLimited, wait)
	}
	weight := int64(wire.HeaderSize + h.BodyBytes + h.PayloadBytes)
	switch s.budget.acquire(x.cluster, weight) {
	case clusterBusy:
		x.state.giveBytes(h.PayloadBytes)
		return because(ReasonClusterBusy)
	case hubBusy:
		x.state.giveBytes(h.PayloadBytes)
		return because(ReasonHubBusy)
	case admitted:
	}
	defer s.budget.release(x.cluster, weight)
	decoded, a, ok := s.receive(x, body, envelope[:], h)
	if !ok {
		return a
	}
	crash.At("ingest.batch.decoded")
	return s.store(ctx, x, decoded, probe)
}

// receive reads the rest of a batch and decodes it.
func (s *Server) receive(x *exchange, body *bodyReader, envelope []byte, h wire.Header) (wire.Decoded, answer, bool) {
	buf := takeBuffer(wire.HeaderSize + h.BodyBytes)
	defer giveBuffer(buf)
	copy(*buf, envelope)
	if reason := readRest(body, (*buf)[wire.HeaderSize:]); reason != "" {
		return wire.Decoded{}, because(reason), false
	}
	x.bodyRead = true
	if err := body.end(); err != nil {
		return wire.Decoded{}, because(ReasonMalformed), false
	}
	s.metrics.received.WithLabelValues(x.label).Add(float64(len(*buf)))
	decoded, err := s.decoder.Decode(*buf)
	if err != nil {
		s.log.V(1).Info("Refusing a batch that cannot be decoded", "cluster", x.cluster, "stream", x.label, "error", err.Error())
		return wire.Decoded{}, undecodable(err), false
	}
	return decoded, answer{}, true
}

// store sets aside what cannot be stored and stores the rest.
func (s *Server) store(ctx context.Context, x *exchange, decoded wire.Decoded, probe bool) answer {
	batch := decoded.Batch
	now := time.Now()
	if x.r.Header.Get(laneHeader) != laneReplay {
		if newest, ok := newestTime(batch.Records); ok {
			x.state.observeClock(newest, now)
		}
	}
	var refused refusals
	refused.addPoison(decoded.Poison)
	batch.Records = sift(batch.Records, &refused, window{retention: s.config.Retention, now: now}.check)
	batch.Records = x.state.countNames(batch.Records, &refused, s.config.Limits.ClusterNames, now)

	// The transaction goes on when the agent hangs up: what was stored need not
	// come again, and an agent less patient than the database still gets ahead.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeouts.Store)
	defer cancel()
	release := context.AfterFunc(s.work, cancel) //nolint:contextcheck // the server's end is meant, not the request's
	defer release()
	crash.At("ingest.store.before")
	ack, err := s.config.Appender.Append(ctx, history.ClusterUID(x.uid), batch, refused.records...)
	crash.At("ingest.store.after")
	a, understood := stored(ack, err)
	unavailable := err != nil && (errors.Is(err, history.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded))
	if s.gate.report(!unavailable, probe, time.Now()) {
		if unavailable {
			s.log.Error(err, "Refusing batches until the history is available again")
		} else {
			s.log.Info("Taking batches again, the history is available")
		}
	}
	if !understood {
		s.log.Error(err, "Storing a batch failed", "cluster", x.cluster, "stream", x.label)
	}
	s.account(x, &batch, &refused, ack, a.reason)
	return a
}

// account counts what became of a batch and tells who has to know.
func (s *Server) account(x *exchange, batch *telemetry.Batch, refused *refusals, ack history.Ack, reason Reason) {
	now := time.Now()
	switch reason {
	case ReasonStored, ReasonDuplicate:
	case ReasonMismatch:
		if x.state.mayLog(now) {
			s.log.Info("Refusing a batch that contradicts what is stored", "cluster", x.cluster, "stream", x.label,
				"epoch", uint64(batch.Epoch), "firstSeq", batch.FirstSeq, "lastSeq", batch.LastSeq)
		}
		if s.config.OnMismatch != nil {
			s.config.OnMismatch(Mismatch{
				Cluster: x.cluster, Key: telemetry.Key{ClusterUID: x.uid, Stream: batch.Stream, Epoch: batch.Epoch},
				FirstSeq: batch.FirstSeq, LastSeq: batch.LastSeq, At: now,
			})
		}
		return
	default:
		return
	}
	if ack.NewEpoch {
		s.metrics.epochs.Inc()
		s.log.V(1).Info("Beginning a new epoch of a stream", "cluster", x.cluster, "stream", x.label, "epoch", uint64(batch.Epoch))
	}
	if ack.Quarantined > 0 {
		counts := refused.counts(ack.Quarantined)
		for why, n := range counts {
			s.metrics.quarantined.WithLabelValues(x.label, string(why)).Add(float64(n))
		}
		x.state.quarantined(counts, now)
	}
	if ack.Stored > 0 {
		s.metrics.records.WithLabelValues(x.label).Add(float64(ack.Stored))
		s.metrics.accepted.WithLabelValues(x.cluster).Set(float64(now.UnixMilli()) / 1000)
		x.state.accepted(batch.Stream, now)
	}
}

// countNames sets aside the records that name more than their cluster may.
func (s *clusterState) countNames(records []telemetry.Record, q *refusals, limits Names, now time.Time) []telemetry.Record {
	s.names.Lock()
	defer s.names.Unlock()
	s.known.roll(now)
	c := counting{census: &s.known, limits: limits.limits()}
	return sift(records, q, c.check)
}
