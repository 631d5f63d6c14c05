// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Parameters of GET /v1/offsets.
const (
	queryStream = "stream"
	queryEpoch  = "epoch"
)

// offsetQuery is what GET /v1/offsets asks for: one epoch of a stream, or, when it is
// zero, all there are.
type offsetQuery struct {
	stream telemetry.Stream
	epoch  telemetry.Epoch
}

// parseOffsetQuery reads a query. It is false for one that asks for nothing that
// there could be.
func parseOffsetQuery(raw string) (q offsetQuery, ok bool) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, false
	}
	streams, epochs := values[queryStream], values[queryEpoch]
	if len(streams) == 0 && len(epochs) == 0 {
		return q, true
	}
	if len(streams) != 1 || len(epochs) != 1 {
		return q, false
	}
	stream, err := telemetry.ParseStream(streams[0])
	if err != nil {
		return q, false
	}
	epoch, err := strconv.ParseUint(epochs[0], 10, 63) // what a store can keep
	if err != nil || epoch == 0 {
		return q, false
	}
	return offsetQuery{stream: stream, epoch: telemetry.Epoch(epoch)}, true
}

// offsets answers GET /v1/offsets.
func (s *Server) offsets(ctx context.Context, x *exchange) answer {
	query, ok := parseOffsetQuery(x.r.URL.RawQuery)
	if !ok {
		return because(ReasonInvalidQuery)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeouts.Store)
	defer cancel()
	found, err := s.readOffsets(ctx, history.ClusterUID(x.uid), query)
	if err != nil {
		if !errors.Is(err, history.ErrUnavailable) {
			s.log.Error(err, "Reading offsets failed", "cluster", x.cluster)
		}
		return because(ReasonStoreUnavailable)
	}
	a := because(ReasonOffsets)
	a.body.Offsets = make([]StreamOffset, 0, len(found))
	for _, o := range found {
		a.body.Offsets = append(a.body.Offsets, StreamOffset{Stream: o.Key.Stream.String(), Epoch: uint64(o.Key.Epoch), Acked: o.LastSeq})
	}
	return a
}

func (s *Server) readOffsets(ctx context.Context, cluster history.ClusterUID, q offsetQuery) ([]history.Offset, error) {
	if q == (offsetQuery{}) {
		return s.config.Offsets.Offsets(ctx, cluster)
	}
	one, err := s.config.Offsets.Offset(ctx, cluster, q.stream, q.epoch)
	if errors.Is(err, history.ErrNotFound) {
		one, err = history.Offset{Key: telemetry.Key{ClusterUID: string(cluster), Stream: q.stream, Epoch: q.epoch}}, nil
	}
	return []history.Offset{one}, err
}
