// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodes

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/atlhyper/atlhyper/internal/bearer"
	"github.com/atlhyper/atlhyper/internal/connections"
	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

var path = "/v1/streams/" + telemetry.StreamNodeMetrics.String() + "/batches"

// ServeHTTP answers collectors. Run puts it behind TLS and limits.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	controller := http.NewResponseController(w)
	// Whoever is refused gets no more time to send a body than that.
	_ = controller.SetReadDeadline(time.Now().Add(r.limits.reading)) // a recorder of tests has none
	a := r.answer(w, q)
	r.note(a.reason)
	if a.reason == ReasonUnauthenticated || a.reason == ReasonSlowBody {
		w.Header().Set("Connection", "close") // rather than read what nobody wants
	}
	_ = controller.SetWriteDeadline(time.Now().Add(r.limits.writing)) // a recorder of tests has none
	if err := a.write(w); err != nil {
		r.log.V(2).Info("Writing an answer failed", "reason", err.Error())
	}
	_ = controller.SetWriteDeadline(time.Time{}) // the connection may be used again
}

func (r *Receiver) answer(w http.ResponseWriter, q *http.Request) answer {
	who, a := r.authenticate(q)
	if a.reason != "" {
		return a
	}
	if !connections.Claim(q.Context(), who.node) {
		return because(ReasonNodeBusy)
	}
	n, a := r.enter(who.node, time.Now())
	if a.reason != "" {
		return a
	}
	defer r.leave(n)
	if a := r.precheck(q); a.reason != "" {
		return a
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return because(ReasonBusy)
	}
	data, a := r.receive(n, q)
	if a.reason != "" {
		return a
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // what comes now may take its time
	select {
	case r.working <- struct{}{}:
		defer func() { <-r.working }()
	case <-q.Context().Done():
		return because(ReasonBusy)
	}
	return r.store(n, data, q.Header)
}

// authenticate finds out which node's collector sends.
func (r *Receiver) authenticate(q *http.Request) (identity, answer) {
	token := bearer.Token(q.Header)
	if bearer.Subject(token) != collectorUser {
		return identity{}, because(ReasonUnauthenticated)
	}
	who, err := r.reviews.Who(q.Context(), token)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			r.log.V(1).Info("Reviewing a token failed", "reason", err.Error())
		}
		return identity{}, because(ReasonAuthUnavailable)
	}
	if who.reason == ReasonNoNode {
		r.warnNoNode()
	}
	return who, because(who.reason)
}

// precheck refuses what is seen to be wrong before the body is read.
func (r *Receiver) precheck(q *http.Request) answer {
	switch {
	case r.draining.Load():
		return because(ReasonShuttingDown)
	case q.URL.Path != path:
		return because(ReasonNotFound)
	case q.Method != http.MethodPost:
		return because(ReasonMethodNotAllowed)
	}
	media, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	encoding := q.Header.Get("Content-Encoding")
	switch {
	case err != nil || media != wire.ContentType || encoding != "" && encoding != "identity":
		return because(ReasonUnsupportedMediaType)
	case q.ContentLength > int64(wire.HeaderSize+r.limits.body):
		return because(ReasonTooLarge)
	case q.ContentLength < wire.HeaderSize: // also when it is unknown
		return because(ReasonMalformed)
	}
	return answer{}
}

// receive reads a batch, the envelope first.
func (r *Receiver) receive(n *node, q *http.Request) ([]byte, answer) {
	var envelope [wire.HeaderSize]byte
	if _, err := io.ReadFull(q.Body, envelope[:]); err != nil {
		return nil, unread(err)
	}
	h, err := wire.ParseHeader(envelope[:])
	switch {
	case err != nil:
		return nil, undecodable(err)
	case h.Stream != telemetry.StreamNodeMetrics || q.ContentLength != int64(wire.HeaderSize+h.BodyBytes):
		return nil, because(ReasonMalformed)
	case h.PayloadBytes > r.limits.payload || h.Records > r.limits.records:
		return nil, because(ReasonTooLarge)
	}
	if wait := r.charge(n, h.Records, h.PayloadBytes, time.Now()); wait > 0 {
		return nil, waiting(ReasonRateLimited, wait)
	}
	data := make([]byte, wire.HeaderSize+h.BodyBytes)
	copy(data, envelope[:])
	if _, err := io.ReadFull(q.Body, data[wire.HeaderSize:]); err != nil {
		return nil, unread(err)
	}
	return data, answer{}
}

// unread returns the answer to a body that could not be read to its end.
func unread(err error) answer {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return because(ReasonSlowBody)
	}
	return because(ReasonMalformed)
}

// store decodes a batch and hands on what is new of it.
func (r *Receiver) store(n *node, data []byte, h http.Header) answer {
	decoded, err := r.decoder.Decode(data)
	if err != nil {
		r.log.V(1).Info("Refusing a batch that cannot be decoded", "node", n.name, "reason", err.Error())
		return undecodable(err)
	}
	for i := range decoded.Batch.Records {
		if s, ok := decoded.Batch.Records[i].Payload.(*telemetry.NodeSample); ok && s.Node != n.name {
			r.warnContradiction(n)
			return because(ReasonContradiction)
		}
	}
	out, err := r.take(n, &decoded, sentAt(h, time.Now()))
	if err != nil {
		r.sinkFailed(err)
		return because(ReasonSinkUnavailable)
	}
	r.sinkWorks()
	return answer{reason: ReasonAccepted, taken: out}
}
