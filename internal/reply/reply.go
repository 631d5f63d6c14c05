// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

// Package reply writes the answers of endpoints that take telemetry. What the
// answers say is the endpoint's.
package reply

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Kind is what answers for the same reason have in common.
type Kind struct {
	// Status is the code of HTTP.
	Status int
	// Retry is the least time to wait, when waiting helps, and otherwise 0.
	Retry time.Duration
	// Message is for people and never has a part of the request in it.
	Message string
}

// Write sends body as JSON. Where waiting helps, the sender is told to wait for retry
// when that is more than the kind's own, and up to twice as long.
func (k Kind) Write(w http.ResponseWriter, body any, retry time.Duration) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	switch {
	case k.Retry > 0:
		h.Set("Retry-After", strconv.Itoa(retryAfter(max(k.Retry, retry), rand.Float64()))) //nolint:gosec // spreads load, guards nothing
	case k.Status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(k.Status)
	_, err = w.Write(data)
	return err
}

// retryAfter returns whole seconds, at least d, up to twice as long: many who are
// sent away at once should not come back at once.
func retryAfter(d time.Duration, random float64) int {
	return max(1, int(math.Ceil(d.Seconds()*(1+random))))
}
