// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// slowServer answers after a while.
type slowServer struct {
	takes  time.Duration
	status int
	err    error
	// notAfter is the end of its certificate.
	notAfter time.Time
}

func (s *slowServer) RoundTrip(r *http.Request) (*http.Response, error) {
	timer := time.NewTimer(s.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{StatusCode: s.status, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: s.notAfter}}}}, nil
}

func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, server := &answers{}, &slowServer{status: http.StatusOK, notAfter: time.Now().Add(time.Hour)}
		through := a.wrap(server)
		ask := func(times int, path string, takes time.Duration, status int) {
			t.Helper()
			for range times {
				server.takes, server.status = takes, status
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1"+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if response, err := through.RoundTrip(request); err == nil && response.Body != nil {
					_ = response.Body.Close()
				}
				cancel()
			}
		}
		wants := func(what string, p99 time.Duration, ratio float64) {
			t.Helper()
			gotP99, gotRatio := a.sum(time.Now())
			if gotP99 != p99 || gotRatio != ratio {
				t.Errorf("%s: p99 %s, %g failed; want %s, %g", what, gotP99, gotRatio, p99, ratio)
			}
		}
		ask(enoughAnswers-1, "/livez", 100*time.Millisecond, http.StatusOK)
		wants("too few", 0, 0)
		ask(51, "/livez", 100*time.Millisecond, http.StatusOK)
		wants("well", 100*time.Millisecond, 0)
		if got := a.certificate(); !got.Equal(server.notAfter) {
			t.Errorf("the certificate ends at %s", got)
		}
		ask(1, "/api/v1/pods", 2*time.Second, http.StatusOK)
		wants("one slow answer of 101", 100*time.Millisecond, 0)
		ask(1, "/api/v1/pods?watch=true", 3*time.Second, http.StatusOK)
		ask(1, "/api/v1/pods", 2*time.Second, http.StatusInternalServerError)
		ask(1, "/readyz", 100*time.Millisecond, http.StatusInternalServerError)
		wants("two slow ones and a failure", 2*time.Second, 1.0/104)

		server.err = errors.New("refused")
		ask(200, "/livez", 0, 0)
		server.err = nil
		ask(3, "/livez", time.Minute, http.StatusOK)
		wants("no answer in time, and none at all", 5*time.Second, 1.0/107)

		timer := time.NewTimer(answersWindow)
		<-timer.C
		wants("long ago", 0, 0)
		ask(3*maxAnswers, "/livez", time.Millisecond, http.StatusOK)
		if len(a.recent) != maxAnswers {
			t.Errorf("%d answers are kept", len(a.recent))
		}
	})
}

func TestAnswersAreObservedWhenThereIsSomethingToSay(t *testing.T) {
	w := newWatcher()
	i := newTestInventory(t, "http://127.0.0.1:1", Options{Sink: newHub(), Observer: w})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	check := func(healthy bool) *facts.APIServer {
		t.Helper()
		w.told()
		now = now.Add(i.options.HealthInterval)
		i.observeAnswers(checkOutcome{verdict: &healthy, answered: true}, now)
		if len(w.told()) == 0 {
			return nil
		}
		o, _ := w.get(facts.KindAPIServer, "", facts.ClusterName).(*facts.APIServer)
		return o
	}
	if o := check(true); o == nil || !o.NotReadySince.IsZero() {
		t.Errorf("at first: %+v", o)
	}
	if o := check(true); o != nil {
		t.Errorf("well again: %+v", o)
	}
	failing := check(false)
	since := now
	if failing == nil || !failing.NotReadySince.Equal(now) {
		t.Errorf("failing: %+v", failing)
	}
	if o := check(false); o == nil || !o.NotReadySince.Equal(since) || !o.At.Equal(now) {
		t.Errorf("still failing: %+v", o)
	}
	if o := check(true); o == nil || !o.NotReadySince.IsZero() {
		t.Errorf("well at last: %+v", o)
	}
	i.answers.notAfter = now.Add(time.Hour)
	for range 2 {
		i.observeAnswers(checkOutcome{}, now)
	}
	if diff := cmp.Diff([]string{"apiserver "}, w.told()); diff != "" {
		t.Errorf("a certificate (-want +got):\n%s", diff)
	}
}
