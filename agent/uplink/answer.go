// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package uplink

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// verdict is what became of a batch, as far as the sender is concerned.
type verdict uint8

const (
	// failed: nobody knows; try again.
	failed verdict = iota
	// stored: the hub has it.
	stored
	// gapped: the hub wants the epoch to go on elsewhere.
	gapped
	// mismatched: the hub has other content under these numbers.
	mismatched
	// tooLarge: it may fit in two halves.
	tooLarge
	// unreadable: the hub can do nothing with these bytes.
	unreadable
	// damaged: the bytes changed on the way.
	damaged
	// busy: the hub said when to come back.
	busy
	// unauthenticated: the hub does not take the token.
	unauthenticated
	// forbidden: the hub does not take anything from here for now.
	forbidden
)

var verdicts = [...]string{
	failed: "failed", stored: "stored", gapped: "gap", mismatched: "mismatch", tooLarge: "too-large", unreadable: "unreadable",
	damaged: "damaged", busy: "busy", unauthenticated: "unauthenticated", forbidden: "forbidden",
}

// String returns a word for metrics.
func (v verdict) String() string { return verdicts[v] }

// about says whom a verdict concerns: the lane as a whole, or the one sequence.
func (v verdict) aboutLane() bool {
	return v == failed || v == busy || v == unauthenticated || v == forbidden
}

// outcome is the answer to one request.
type outcome struct {
	verdict verdict
	// acked is the last number that the hub has of the epoch, with stored.
	acked uint64
	// quarantined is how many records were set aside, with stored.
	quarantined int
	// expected is the number that the hub wants next, with gapped.
	expected uint64
	// retryAfter is what the hub asked for, with busy.
	retryAfter time.Duration
	// problem says what happened, for people; empty with stored.
	problem string
}

const (
	// maxReply bounds what is read of an answer, in bytes.
	maxReply = 64 << 10
	// maxProblem bounds what is repeated of it.
	maxProblem = 256
)

// reply is the body of an answer of the hub.
type reply struct {
	Reason      string   `json:"reason"`
	Message     string   `json:"message"`
	Acked       *uint64  `json:"acked"`
	Quarantined int      `json:"quarantined"`
	Expected    uint64   `json:"expected"`
	Offsets     []offset `json:"offsets"`
}

// offset is how far an epoch has come, as the hub says.
type offset struct {
	Stream string  `json:"stream"`
	Epoch  uint64  `json:"epoch"`
	Acked  *uint64 `json:"acked"`
}

// offset returns how far an epoch has come. It is false for an answer that does not
// say, which is not the same as 0.
func (r *reply) offset(stream telemetry.Stream, epoch telemetry.Epoch) (acked uint64, ok bool) {
	for _, o := range r.Offsets {
		if o.Stream == stream.String() && telemetry.Epoch(o.Epoch) == epoch && o.Acked != nil {
			return *o.Acked, true
		}
	}
	return 0, false
}

// judge reads an answer. The body may be anything: it may come from something
// between here and the hub.
func judge(status int, header http.Header, body []byte, now time.Time) outcome {
	var r reply
	readable := json.Unmarshal(body, &r) == nil
	o := outcome{problem: describe(status, &r)}
	switch status {
	case http.StatusOK:
		if !readable || r.Acked == nil {
			o.problem = "the answer with status 200 is not the hub's; something between here and the hub answers in its place"
			return o
		}
		return outcome{verdict: stored, acked: *r.Acked, quarantined: max(r.Quarantined, 0)}
	case http.StatusConflict:
		o.verdict, o.expected = conflict(&r), r.Expected
	case http.StatusRequestEntityTooLarge:
		o.verdict = tooLarge
	case http.StatusBadRequest:
		o.verdict = unreadable
		if r.Reason == "Checksum" || r.Reason == "TrailingBytes" {
			o.verdict = damaged
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

// conflict tells the answers with status 409 apart.
func conflict(r *reply) verdict {
	switch {
	case r.Expected > 0:
		return gapped
	case r.Reason == "Mismatch":
		return mismatched
	}
	return failed
}

// describe says what was answered, in words that are safe to log.
func describe(status int, r *reply) string {
	text := fmt.Sprintf("the hub answered %d", status)
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
