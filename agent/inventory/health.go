// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// healthMessageMax bounds APIServerHealth.Message, in bytes.
const healthMessageMax = 256

// healthPaths are asked in this order; the first that fails is the verdict.
var healthPaths = []string{"/livez", "/readyz"}

// checkOutcome is what one health check found.
type checkOutcome struct {
	// verdict is nil when the API server answers but does not let the agent see
	// its health.
	verdict *bool
	// answered is false when there was no HTTP response at all.
	answered bool
	// message says what is wrong; "" when nothing is.
	message string
}

// damper turns outcomes of checks into a verdict that does not flap: good news
// counts at once, bad news only after it has lasted. It reads no clock.
type damper struct {
	// after is for how long checks must fail before that is the verdict.
	after        time.Duration
	failingSince time.Time
	state        APIServerHealth
}

// observe takes the outcome of one more check and says whether state changed.
func (d *damper) observe(outcome checkOutcome, now time.Time) bool {
	healthy := outcome.verdict != nil && *outcome.verdict
	if healthy {
		d.failingSince = time.Time{}
	} else {
		if d.failingSince.IsZero() {
			d.failingSince = now
		}
		if now.Sub(d.failingSince) < d.after {
			return false
		}
	}
	next := APIServerHealth{Healthy: outcome.verdict, Since: d.state.Since, Message: outcome.message}
	same := (next.Healthy == nil) == (d.state.Healthy == nil) &&
		(next.Healthy == nil || *next.Healthy == *d.state.Healthy)
	if !same {
		next.Since = now
	}
	changed := !same || next.Message != d.state.Message
	d.state = next
	return changed
}

// check asks the API server for its health, each request bounded by timeout.
func check(ctx context.Context, client rest.Interface, timeout time.Duration) checkOutcome {
	for _, path := range healthPaths {
		body, err := getRaw(ctx, client, path, timeout)
		if err != nil {
			return outcomeOf(path, body, err)
		}
	}
	return checkOutcome{verdict: new(true), answered: true}
}

func getRaw(ctx context.Context, client rest.Interface, path string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return client.Get().AbsPath(path).MaxRetries(0).DoRaw(ctx)
}

// outcomeOf judges a failed check. The same fault always makes the same message:
// a message that carried, say, a local port would be news at every check.
func outcomeOf(path string, body []byte, err error) checkOutcome {
	status, answered := errors.AsType[*apierrors.StatusError](err)
	if !answered {
		return checkOutcome{verdict: new(false), message: truncate(path + ": " + networkFault(err))}
	}
	code := int(status.Status().Code)
	message := fmt.Sprintf("%s: HTTP %d", path, code)
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return checkOutcome{answered: true, message: message}
	}
	if failed := failedChecks(body); failed != "" {
		message += ", failed: " + failed
	}
	return checkOutcome{verdict: new(false), answered: true, message: truncate(message)}
}

// failedChecks lists the names in the lines "[-]NAME failed: ..." that the API
// server's health endpoints answer with.
func failedChecks(body []byte) string {
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if check, ok := strings.CutPrefix(lines.Text(), "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// networkFault describes why there was no response, without addresses and URLs.
func networkFault(err error) string {
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err
	}
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed by the other side"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the API server"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "looking up " + dns.Name + ": " + dns.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificateFault(err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return err.Error()
}

func certificateFault(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate signed by an unknown authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "certificate expired or not yet valid"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate valid for other names only"
	}
	return "certificate not valid"
}

// truncate cuts a message to healthMessageMax bytes without cutting a character.
func truncate(s string) string {
	if len(s) <= healthMessageMax {
		return s
	}
	const ellipsis = "..."
	end := healthMessageMax - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
