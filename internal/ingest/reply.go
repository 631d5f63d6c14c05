// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/reply"
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

// reasons has what each reason says.
var reasons = map[Reason]reply.Kind{
	ReasonStored:               {Status: http.StatusOK},
	ReasonDuplicate:            {Status: http.StatusOK},
	ReasonOffsets:              {Status: http.StatusOK},
	ReasonMalformed:            {Status: http.StatusBadRequest, Message: "the body is not a batch"},
	ReasonChecksum:             {Status: http.StatusBadRequest, Message: "the batch changed on the way; send it again"},
	ReasonTrailingBytes:        {Status: http.StatusBadRequest, Message: "the body goes on after the batch"},
	ReasonStreamMismatch:       {Status: http.StatusBadRequest, Message: "the batch is of another stream than the path"},
	ReasonInvalidBatch:         {Status: http.StatusBadRequest, Message: "the batch as a whole cannot be stored"},
	ReasonInvalidQuery:         {Status: http.StatusBadRequest, Message: "stream and epoch go together, each once: the name of a stream and a number from 1 to 9223372036854775807"},
	ReasonUnauthenticated:      {Status: http.StatusUnauthorized, Message: "a token of an agent for the audience atlhyper-ingest is required"},
	ReasonClusterUnknown:       {Status: http.StatusForbidden, Message: "the cluster is not known to this hub"},
	ReasonNotAccepted:          {Status: http.StatusForbidden, Message: "the cluster is not accepted"},
	ReasonIdentityConflict:     {Status: http.StatusForbidden, Message: "two clusters use this identity"},
	ReasonContradiction:        {Status: http.StatusForbidden, Message: "the request names another cluster than its credential"},
	ReasonNotFound:             {Status: http.StatusNotFound, Message: "there is nothing at this path"},
	ReasonMethodNotAllowed:     {Status: http.StatusMethodNotAllowed, Message: "the path is for another method"},
	ReasonSlowBody:             {Status: http.StatusRequestTimeout, Message: "the body came too slowly"},
	ReasonGap:                  {Status: http.StatusConflict, Message: "records before the batch are missing"},
	ReasonMismatch:             {Status: http.StatusConflict, Message: "mismatch: a stored sequence number came again with other content"},
	ReasonBodyTooLarge:         {Status: http.StatusRequestEntityTooLarge, Message: "the body is larger than 4 MiB"},
	ReasonBatchTooLarge:        {Status: http.StatusRequestEntityTooLarge, Message: "the batch exceeds a limit; send it in two halves"},
	ReasonUnsupportedMediaType: {Status: http.StatusUnsupportedMediaType, Message: "the body has to be " + wire.ContentType + " without a Content-Encoding"},
	ReasonUnsupportedVersion:   {Status: http.StatusUnsupportedMediaType, Message: "this version of the batch format is not supported"},
	ReasonRateLimited:          {Status: http.StatusTooManyRequests, Retry: time.Second, Message: "the cluster sends more than it may"},
	ReasonClusterBusy:          {Status: http.StatusTooManyRequests, Retry: time.Second, Message: "the cluster has too much in flight"},
	ReasonHubBusy:              {Status: http.StatusServiceUnavailable, Retry: 2 * time.Second, Message: "the hub has too much in flight"},
	ReasonStoreUnavailable:     {Status: http.StatusServiceUnavailable, Retry: 5 * time.Second, Message: "the history cannot store now"},
	ReasonAuthUnavailable:      {Status: http.StatusServiceUnavailable, Retry: 5 * time.Second, Message: "credentials cannot be checked now"},
	ReasonIdentityPending:      {Status: http.StatusServiceUnavailable, Retry: time.Second, Message: "the hub waits for the cluster's first heartbeat"},
	ReasonShuttingDown:         {Status: http.StatusServiceUnavailable, Retry: time.Second, Message: "this replica of the hub is ending"},
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

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) error {
	kind := reasons[a.reason]
	if kind.Status != http.StatusOK {
		a.body.Reason, a.body.Message = a.reason, kind.Message
	}
	return kind.Write(w, &a.body, a.retry)
}
