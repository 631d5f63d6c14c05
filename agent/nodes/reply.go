// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"errors"
	"net/http"
	"time"

	"github.com/atlhyper/atlhyper/internal/reply"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// Reason says in one word what became of a request.
type Reason string

// The reasons. The package comment says which status each comes with.
const (
	ReasonAccepted             Reason = "Accepted"
	ReasonMalformed            Reason = "Malformed"
	ReasonChecksum             Reason = "Checksum"
	ReasonUnauthenticated      Reason = "Unauthenticated"
	ReasonNoNode               Reason = "NoNode"
	ReasonContradiction        Reason = "Contradiction"
	ReasonNotFound             Reason = "NotFound"
	ReasonMethodNotAllowed     Reason = "MethodNotAllowed"
	ReasonSlowBody             Reason = "SlowBody"
	ReasonTooLarge             Reason = "TooLarge"
	ReasonUnsupportedMediaType Reason = "UnsupportedMediaType"
	ReasonRateLimited          Reason = "RateLimited"
	ReasonNodeBusy             Reason = "NodeBusy"
	ReasonBusy                 Reason = "Busy"
	ReasonAuthUnavailable      Reason = "AuthUnavailable"
	ReasonSinkUnavailable      Reason = "SinkUnavailable"
	ReasonShuttingDown         Reason = "ShuttingDown"
)

// reasons has what each reason says.
var reasons = map[Reason]reply.Kind{
	ReasonAccepted:             {Status: http.StatusOK},
	ReasonMalformed:            {Status: http.StatusBadRequest, Message: "the body is not a batch of node samples"},
	ReasonChecksum:             {Status: http.StatusBadRequest, Message: "the batch changed on the way; send it again"},
	ReasonUnauthenticated:      {Status: http.StatusUnauthorized, Message: "a token of the node collector for the audience atlhyper-agent is required"},
	ReasonNoNode:               {Status: http.StatusForbidden, Message: "the token names no node: it has to be bound to a pod, by an API server of version 1.30 or later"},
	ReasonContradiction:        {Status: http.StatusForbidden, Message: "a sample names another node than the token"},
	ReasonNotFound:             {Status: http.StatusNotFound, Message: "there is nothing at this path"},
	ReasonMethodNotAllowed:     {Status: http.StatusMethodNotAllowed, Message: "the path is for another method"},
	ReasonSlowBody:             {Status: http.StatusRequestTimeout, Message: "the body came too slowly"},
	ReasonTooLarge:             {Status: http.StatusRequestEntityTooLarge, Message: "the batch exceeds a limit; send it in two halves"},
	ReasonUnsupportedMediaType: {Status: http.StatusUnsupportedMediaType, Message: "the body has to be " + wire.ContentType + ", in a version of the format that is supported, without a Content-Encoding"},
	ReasonRateLimited:          {Status: http.StatusTooManyRequests, Retry: time.Second, Message: "the node sends more than it may"},
	ReasonNodeBusy:             {Status: http.StatusTooManyRequests, Retry: time.Second, Message: "the node has too much in flight or too many connections"},
	ReasonBusy:                 {Status: http.StatusServiceUnavailable, Retry: time.Second, Message: "the agent has too much in flight"},
	ReasonAuthUnavailable:      {Status: http.StatusServiceUnavailable, Retry: 5 * time.Second, Message: "credentials cannot be checked now"},
	ReasonSinkUnavailable:      {Status: http.StatusServiceUnavailable, Retry: 5 * time.Second, Message: "the agent cannot keep samples now"},
	ReasonShuttingDown:         {Status: http.StatusServiceUnavailable, Retry: time.Second, Message: "the agent is ending"},
}

// Reply is the body of every answer.
type Reply struct {
	// Reason says what became of the request; empty for 200.
	Reason Reason `json:"reason,omitempty"`
	// Message says it to people.
	Message string `json:"message,omitempty"`
	// Accepted is how many records of the batch were new: with 200.
	Accepted *int `json:"accepted,omitempty"`
	// Duplicates is how many were there already: with 200.
	Duplicates int `json:"duplicates,omitempty"`
	// Refused is how many are given up because they can never be kept: with 200.
	Refused int `json:"refused,omitempty"`
}

// answer is a reply before it is written.
type answer struct {
	reason Reason
	retry  time.Duration // more than the reason's own
	taken  taken
}

func because(reason Reason) answer { return answer{reason: reason} }

func waiting(reason Reason, retry time.Duration) answer { return answer{reason: reason, retry: retry} }

// undecodable returns the answer to a batch that cannot be decoded.
func undecodable(err error) answer {
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return because(ReasonTooLarge)
	case errors.Is(err, wire.ErrVersion):
		return because(ReasonUnsupportedMediaType)
	case errors.Is(err, wire.ErrChecksum):
		return because(ReasonChecksum)
	}
	return because(ReasonMalformed)
}

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) error {
	kind := reasons[a.reason]
	body := Reply{Reason: a.reason, Message: kind.Message}
	if kind.Status == http.StatusOK {
		body = Reply{Accepted: &a.taken.accepted, Duplicates: a.taken.duplicates, Refused: a.taken.refused}
	}
	return kind.Write(w, &body, a.retry)
}
