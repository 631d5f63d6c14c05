// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/wire"
)

// maxBody is the length of the longest body of a request.
const maxBody = wire.HeaderSize + wire.MaxBody

// keptBuffer is the largest buffer that is kept for the next batch. Few batches
// are larger.
const keptBuffer = 256 << 10

// precheck returns why a body will not be read, or "".
func precheck(r *http.Request) Reason {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	switch {
	case err != nil || media != wire.ContentType || encoding != "" && encoding != "identity":
		return ReasonUnsupportedMediaType
	case r.ContentLength > maxBody:
		return ReasonBodyTooLarge
	case r.ContentLength >= 0 && r.ContentLength < wire.HeaderSize:
		return ReasonMalformed
	}
	return ""
}

// bodyReader reads a body that has to come at a certain speed on the whole, after a
// grace period.
type bodyReader struct {
	body        io.Reader
	setDeadline func(time.Time) error
	grace       time.Duration
	perSecond   int

	start    time.Time
	deadline time.Time
	bytes    int64
}

func newBodyReader(w http.ResponseWriter, r *http.Request, t Timeouts, now time.Time) *bodyReader {
	return &bodyReader{body: r.Body, setDeadline: http.NewResponseController(w).SetReadDeadline, grace: t.Body, perSecond: t.BodyBytesPerSecond, start: now}
}

// due is when the next byte has to be there, after so many.
func (b *bodyReader) due() time.Time {
	return b.start.Add(b.grace + time.Duration(float64(b.bytes)/float64(b.perSecond)*float64(time.Second)))
}

// Read reads some more of the body, and fails when it is late.
func (b *bodyReader) Read(p []byte) (int, error) {
	if due := b.due(); due.Sub(b.deadline) >= b.grace/20 { // less is not worth a timer
		if err := b.setDeadline(due); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
		b.deadline = due
	}
	n, err := b.body.Read(p)
	b.bytes += int64(n)
	return n, err
}

// end says that the body is read: what comes now may take its time. Without it, the
// deadline would end the request while it is being stored.
func (b *bodyReader) end() error {
	if err := b.setDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// readError returns the reason for a body that could not be read to its end.
func readError(err error) Reason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ReasonSlowBody
	}
	return ReasonMalformed
}

// readHeader reads the envelope and checks it against what was said before.
func readHeader(body io.Reader, buf []byte, r *http.Request) (wire.Header, answer, bool) {
	if _, err := io.ReadFull(body, buf); err != nil {
		return wire.Header{}, because(readError(err)), false
	}
	h, err := wire.ParseHeader(buf)
	if err != nil {
		return h, undecodable(err), false
	}
	if r.ContentLength >= 0 && r.ContentLength != int64(wire.HeaderSize+h.BodyBytes) {
		if r.ContentLength > int64(wire.HeaderSize+h.BodyBytes) {
			return h, because(ReasonTrailingBytes), false
		}
		return h, because(ReasonMalformed), false
	}
	return h, answer{}, true
}

// readRest reads the body of the batch to buf and makes sure that nothing follows.
func readRest(body io.Reader, buf []byte) Reason {
	if _, err := io.ReadFull(body, buf); err != nil {
		return readError(err)
	}
	var more [1]byte
	switch n, err := io.ReadFull(body, more[:]); {
	case n > 0:
		return ReasonTrailingBytes
	case !errors.Is(err, io.EOF):
		return readError(err)
	}
	return ""
}

// buffers are for bodies.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func takeBuffer(size int) *[]byte {
	b, _ := buffers.Get().(*[]byte)
	if cap(*b) < size {
		*b = make([]byte, size)
	}
	*b = (*b)[:size]
	return b
}

func giveBuffer(b *[]byte) {
	if cap(*b) <= keptBuffer {
		buffers.Put(b)
	}
}
