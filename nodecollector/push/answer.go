// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// verdict is what became of a batch.
type verdict uint8

const (
	// failed: nobody knows; try again.
	failed verdict = iota
	// stored: the agent has it.
	stored
	// tooLarge: it may fit in two halves.
	tooLarge
	// unreadable: the agent can do nothing with it.
	unreadable
	// busy: the agent said when to come back.
	busy
	// unauthenticated: the agent does not take the token.
	unauthenticated
	// forbidden: the agent does not take anything from here for now.
	forbidden
)

// outcome is the answer to one request.
type outcome struct {
	verdict verdict
	// refused is how many records the agent set aside for good, with stored.
	refused int
	// retryAfter is what the agent asked for, with busy.
	retryAfter time.Duration
	// problem says what happened, for people; empty with stored.
	problem string
}

const (
	// maxReply bounds what is read of an answer, in bytes.
	maxReply = 4 << 10
	// maxProblem bounds what is repeated of it.
	maxProblem = 256
)

// reply is the body of an answer.
type reply struct {
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Accepted *int   `json:"accepted"`
	Refused  int    `json:"refused"`
}

// judge reads an answer. The body may be anything.
func judge(status int, header http.Header, body []byte, now time.Time) outcome {
	var r reply
	readable := json.Unmarshal(body, &r) == nil
	o := outcome{problem: describe(status, &r)}
	switch status {
	case http.StatusOK:
		if !readable || r.Accepted == nil {
			o.problem = "the answer with status 200 is not an agent's; check the address"
			return o
		}
		return outcome{verdict: stored, refused: max(r.Refused, 0)}
	case http.StatusRequestEntityTooLarge:
		o.verdict = tooLarge
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		if r.Reason != "Checksum" { // it changed on the way
			o.verdict = unreadable
		}
	case http.StatusUnauthorized:
		o.verdict = unauthenticated
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		o.verdict = forbidden
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if after, ok := parseRetryAfter(header.Get("Retry-After"), now); ok {
			o.verdict, o.retryAfter = busy, after
		}
	}
	return o
}

// describe says what was answered, in words that are safe to log.
func describe(status int, r *reply) string {
	text := fmt.Sprintf("the agent answered %d", status)
	if r.Reason != "" {
		text += " " + clean(r.Reason)
	}
	if r.Message != "" {
		text += ": " + clean(r.Message)
	}
	return text
}

// clean makes text of others fit a line.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	return telemetry.Clip(text, maxProblem)
}

// parseRetryAfter reads seconds or a date. It is false when there is neither.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(mostRetryAfter/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}
