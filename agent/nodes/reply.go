// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

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

type reasonInfo struct {
	status  int
	retry   time.Duration // the least time to wait, when waiting helps
	message string
}

// reasons has what each reason says. A message is for people and never has a part
// of the request in it.
var reasons = map[Reason]reasonInfo{
	ReasonAccepted:             {status: http.StatusOK},
	ReasonMalformed:            {status: http.StatusBadRequest, message: "the body is not a batch of node samples"},
	ReasonChecksum:             {status: http.StatusBadRequest, message: "the batch changed on the way; send it again"},
	ReasonUnauthenticated:      {status: http.StatusUnauthorized, message: "a token of the node collector for the audience atlhyper-agent is required"},
	ReasonNoNode:               {status: http.StatusForbidden, message: "the token names no node: it has to be bound to a pod, by an API server of version 1.30 or later"},
	ReasonContradiction:        {status: http.StatusForbidden, message: "a sample names another node than the token"},
	ReasonNotFound:             {status: http.StatusNotFound, message: "there is nothing at this path"},
	ReasonMethodNotAllowed:     {status: http.StatusMethodNotAllowed, message: "the path is for another method"},
	ReasonSlowBody:             {status: http.StatusRequestTimeout, message: "the body came too slowly"},
	ReasonTooLarge:             {status: http.StatusRequestEntityTooLarge, message: "the batch exceeds a limit; send it in two halves"},
	ReasonUnsupportedMediaType: {status: http.StatusUnsupportedMediaType, message: "the body has to be " + wire.ContentType + ", in a version of the format that is supported, without a Content-Encoding"},
	ReasonRateLimited:          {status: http.StatusTooManyRequests, retry: time.Second, message: "the node sends more than it may"},
	ReasonNodeBusy:             {status: http.StatusTooManyRequests, retry: time.Second, message: "the node has too much in flight or too many connections"},
	ReasonBusy:                 {status: http.StatusServiceUnavailable, retry: time.Second, message: "the agent has too much in flight"},
	ReasonAuthUnavailable:      {status: http.StatusServiceUnavailable, retry: 5 * time.Second, message: "credentials cannot be checked now"},
	ReasonSinkUnavailable:      {status: http.StatusServiceUnavailable, retry: 5 * time.Second, message: "the agent cannot keep samples now"},
	ReasonShuttingDown:         {status: http.StatusServiceUnavailable, retry: time.Second, message: "the agent is ending"},
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

// retryAfter returns whole seconds, at least d, up to twice as long: many who are
// sent away at once should not come back at once.
func retryAfter(d time.Duration, random float64) int {
	return max(1, int(math.Ceil(d.Seconds()*(1+random))))
}

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) error {
	info := reasons[a.reason]
	body := Reply{Reason: a.reason, Message: info.message}
	if info.status == http.StatusOK {
		body = Reply{Accepted: &a.taken.accepted, Duplicates: a.taken.duplicates, Refused: a.taken.refused}
	}
	data, err := json.Marshal(&body)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	switch {
	case info.retry > 0:
		h.Set("Retry-After", strconv.Itoa(retryAfter(max(info.retry, a.retry), rand.Float64()))) //nolint:gosec // spreads load, guards nothing
	case info.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(info.status)
	_, err = w.Write(data)
	return err
}
