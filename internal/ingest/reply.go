// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// Reason says in one word what became of a request.
type Reason string

// The reasons. The package comment says which status each comes with.
const (
	ReasonStored               Reason = "Stored"
	ReasonDuplicate            Reason = "Duplicate"
	ReasonOffsets              Reason = "Offsets"
	ReasonMalformed            Reason = "Malformed"
	ReasonChecksum             Reason = "Checksum"
	ReasonTrailingBytes        Reason = "TrailingBytes"
	ReasonStreamMismatch       Reason = "StreamMismatch"
	ReasonInvalidBatch         Reason = "InvalidBatch"
	ReasonInvalidQuery         Reason = "InvalidQuery"
	ReasonUnauthenticated      Reason = "Unauthenticated"
	ReasonClusterUnknown       Reason = "ClusterUnknown"
	ReasonNotAccepted          Reason = "NotAccepted"
	ReasonIdentityConflict     Reason = "IdentityConflict"
	ReasonContradiction        Reason = "Contradiction"
	ReasonNotFound             Reason = "NotFound"
	ReasonMethodNotAllowed     Reason = "MethodNotAllowed"
	ReasonSlowBody             Reason = "SlowBody"
	ReasonGap                  Reason = "Gap"
	ReasonMismatch             Reason = "Mismatch"
	ReasonBodyTooLarge         Reason = "BodyTooLarge"
	ReasonBatchTooLarge        Reason = "BatchTooLarge"
	ReasonUnsupportedMediaType Reason = "UnsupportedMediaType"
	ReasonUnsupportedVersion   Reason = "UnsupportedVersion"
	ReasonRateLimited          Reason = "RateLimited"
	ReasonClusterBusy          Reason = "ClusterBusy"
	ReasonHubBusy              Reason = "HubBusy"
	ReasonStoreUnavailable     Reason = "StoreUnavailable"
	ReasonAuthUnavailable      Reason = "AuthUnavailable"
	ReasonIdentityPending      Reason = "IdentityPending"
	ReasonShuttingDown         Reason = "ShuttingDown"
)

type reasonInfo struct {
	status  int
	retry   time.Duration // the least time to wait, when waiting helps
	message string
}

// reasons has what each reason says. A message is for people and never has a part
// of the request in it.
var reasons = map[Reason]reasonInfo{
	ReasonStored:               {status: http.StatusOK},
	ReasonDuplicate:            {status: http.StatusOK},
	ReasonOffsets:              {status: http.StatusOK},
	ReasonMalformed:            {status: http.StatusBadRequest, message: "the body is not a batch"},
	ReasonChecksum:             {status: http.StatusBadRequest, message: "the batch changed on the way; send it again"},
	ReasonTrailingBytes:        {status: http.StatusBadRequest, message: "the body goes on after the batch"},
	ReasonStreamMismatch:       {status: http.StatusBadRequest, message: "the batch is of another stream than the path"},
	ReasonInvalidBatch:         {status: http.StatusBadRequest, message: "the batch as a whole cannot be stored"},
	ReasonInvalidQuery:         {status: http.StatusBadRequest, message: "stream and epoch go together, each once: the name of a stream and a number from 1 to 9223372036854775807"},
	ReasonUnauthenticated:      {status: http.StatusUnauthorized, message: "a token of an agent for the audience atlhyper-ingest is required"},
	ReasonClusterUnknown:       {status: http.StatusForbidden, message: "the cluster is not known to this hub"},
	ReasonNotAccepted:          {status: http.StatusForbidden, message: "the cluster is not accepted"},
	ReasonIdentityConflict:     {status: http.StatusForbidden, message: "two clusters use this identity"},
	ReasonContradiction:        {status: http.StatusForbidden, message: "the request names another cluster than its credential"},
	ReasonNotFound:             {status: http.StatusNotFound, message: "there is nothing at this path"},
	ReasonMethodNotAllowed:     {status: http.StatusMethodNotAllowed, message: "the path is for another method"},
	ReasonSlowBody:             {status: http.StatusRequestTimeout, message: "the body came too slowly"},
	ReasonGap:                  {status: http.StatusConflict, message: "records before the batch are missing"},
	ReasonMismatch:             {status: http.StatusConflict, message: "mismatch: a stored sequence number came again with other content"},
	ReasonBodyTooLarge:         {status: http.StatusRequestEntityTooLarge, message: "the body is larger than 4 MiB"},
	ReasonBatchTooLarge:        {status: http.StatusRequestEntityTooLarge, message: "the batch exceeds a limit; send it in two halves"},
	ReasonUnsupportedMediaType: {status: http.StatusUnsupportedMediaType, message: "the body has to be " + wire.ContentType + " without a Content-Encoding"},
	ReasonUnsupportedVersion:   {status: http.StatusUnsupportedMediaType, message: "this version of the batch format is not supported"},
	ReasonRateLimited:          {status: http.StatusTooManyRequests, retry: time.Second, message: "the cluster sends more than it may"},
	ReasonClusterBusy:          {status: http.StatusTooManyRequests, retry: time.Second, message: "the cluster has too much in flight"},
	ReasonHubBusy:              {status: http.StatusServiceUnavailable, retry: 2 * time.Second, message: "the hub has too much in flight"},
	ReasonStoreUnavailable:     {status: http.StatusServiceUnavailable, retry: 5 * time.Second, message: "the history cannot store now"},
	ReasonAuthUnavailable:      {status: http.StatusServiceUnavailable, retry: 5 * time.Second, message: "credentials cannot be checked now"},
	ReasonIdentityPending:      {status: http.StatusServiceUnavailable, retry: time.Second, message: "the hub waits for the cluster's first heartbeat"},
	ReasonShuttingDown:         {status: http.StatusServiceUnavailable, retry: time.Second, message: "this replica of the hub is ending"},
}

// Reply is the body of every answer.
type Reply struct {
	// Reason says what became of the request; empty for 200.
	Reason Reason `json:"reason,omitempty"`
	// Message says it to people.
	Message string `json:"message,omitempty"`
	// Acked is the last sequence number that is accounted for in the epoch. The
	// sender may forget everything up to it.
	Acked *uint64 `json:"acked,omitempty"`
	// Quarantined is how many records of the batch were set aside.
	Quarantined int `json:"quarantined,omitempty"`
	// Expected is the sequence number that the epoch continues with: with Gap.
	Expected uint64 `json:"expected,omitempty"`
	// Limit is the limit that is exceeded, such as "payload": with BatchTooLarge.
	Limit wire.Limit `json:"limit,omitempty"`
	// Offsets are those of the cluster, or the one that was asked for: of GET
	// /v1/offsets.
	Offsets []StreamOffset `json:"offsets,omitempty"`
}

// StreamOffset says how far an epoch of a stream has come.
type StreamOffset struct {
	// Stream is its name.
	Stream string `json:"stream"`
	// Epoch is one of the stream's.
	Epoch uint64 `json:"epoch"`
	// Acked is the last sequence number of the epoch that is accounted for; 0
	// for an epoch of which nothing is known.
	Acked uint64 `json:"acked"`
}

// answer is a reply before it is written.
type answer struct {
	reason Reason
	retry  time.Duration // more than the reason's own
	body   Reply
}

func because(reason Reason) answer { return answer{reason: reason} }

func waiting(reason Reason, retry time.Duration) answer { return answer{reason: reason, retry: retry} }

// stored returns the answer to what the store said. known is false for an error
// that says nothing about the batch.
func stored(ack history.Ack, err error) (a answer, known bool) {
	if err == nil {
		reason := ReasonStored
		if ack.Stored == 0 && ack.Quarantined == 0 {
			reason = ReasonDuplicate
		}
		return answer{reason: reason, body: Reply{Acked: &ack.LastSeq, Quarantined: ack.Quarantined}}, true
	}
	if gap, ok := errors.AsType[*history.GapError](err); ok {
		return answer{reason: ReasonGap, body: Reply{Expected: gap.Expected}}, true
	}
	switch {
	case errors.Is(err, history.ErrContentMismatch):
		return because(ReasonMismatch), true
	case errors.Is(err, history.ErrInvalidBatch):
		return because(ReasonInvalidBatch), true
	case errors.Is(err, history.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return because(ReasonStoreUnavailable), true
	}
	return because(ReasonStoreUnavailable), false
}

// undecodable returns the answer to a batch that cannot be decoded.
func undecodable(err error) answer {
	if limit, ok := errors.AsType[*wire.LimitError](err); ok {
		return answer{reason: ReasonBatchTooLarge, body: Reply{Limit: limit.Limit}}
	}
	switch {
	case errors.Is(err, wire.ErrVersion):
		return because(ReasonUnsupportedVersion)
	case errors.Is(err, wire.ErrChecksum):
		return because(ReasonChecksum)
	}
	return because(ReasonMalformed)
}

// retryAfter returns whole seconds, at least d, up to twice as long: many who are
// sent away at once should not come back at once.
func retryAfter(d time.Duration, random float64) int {
	return max(1, int(math.Ceil(d.Seconds()*(1+random))))
}

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) error {
	info := reasons[a.reason]
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case info.retry > 0:
		h.Set("Retry-After", strconv.Itoa(retryAfter(max(info.retry, a.retry), rand.Float64()))) //nolint:gosec // spreads load, guards nothing
	case info.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	if info.status != http.StatusOK {
		a.body.Reason, a.body.Message = a.reason, info.message
	}
	data, err := json.Marshal(&a.body)
	if err != nil {
		return err
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(info.status)
	_, err = w.Write(data)
	return err
}
