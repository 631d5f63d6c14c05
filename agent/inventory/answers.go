// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

const (
	// answersWindow is how far back answers count, and maxAnswers how many do.
	answersWindow = 5 * time.Minute
	maxAnswers    = 1024
	// enoughAnswers is how many make a percentile.
	enoughAnswers = 50
)

// answers measure how the API server answers whatever it is asked. Nothing is asked
// for their sake.
type answers struct {
	mu sync.Mutex
	// recent ones, oldest first.
	recent []answer
	// notAfter is the end of the certificate that the API server shows.
	notAfter time.Time
}

type answer struct {
	at   time.Time
	took time.Duration
	// timed is false for watches, which take as long as they like.
	timed, failed bool
}

type tripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wrap measures what passes a transport.
func (a *answers) wrap(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		begun := time.Now()
		response, err := next.RoundTrip(r)
		if err == nil || errors.Is(r.Context().Err(), context.DeadlineExceeded) {
			a.note(r, response, begun, time.Now())
		}
		return response, err
	})
}

// note takes an answer; nil for one that did not come in time.
func (a *answers) note(r *http.Request, response *http.Response, begun, now time.Time) {
	one := answer{at: now, took: now.Sub(begun), timed: !strings.Contains(r.URL.RawQuery, "watch=true")}
	a.mu.Lock()
	defer a.mu.Unlock()
	if response != nil {
		// What health checks say is told as such.
		one.failed = response.StatusCode >= http.StatusInternalServerError && !slices.Contains(healthPaths, r.URL.Path)
		if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
			a.notAfter = response.TLS.PeerCertificates[0].NotAfter
		}
	}
	if len(a.recent) == maxAnswers {
		a.recent = slices.Delete(a.recent, 0, 1)
	}
	a.recent = append(a.recent, one)
}

// sum returns the latency that 99 % of the answers of the window stay below, 0 when
// there are too few, and which part of them said that the API server failed.
func (a *answers) sum(now time.Time) (p99 time.Duration, errorRatio float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recent = slices.DeleteFunc(a.recent, func(x answer) bool { return now.Sub(x.at) > answersWindow })
	if len(a.recent) < enoughAnswers {
		return 0, 0
	}
	failed := 0
	var took []time.Duration
	for _, x := range a.recent {
		if x.failed {
			failed++
		}
		if x.timed {
			took = append(took, x.took)
		}
	}
	if len(took) >= enoughAnswers {
		slices.Sort(took)
		p99 = took[(99*len(took)-1)/100]
	}
	return p99, float64(failed) / float64(len(a.recent))
}

func (a *answers) certificate() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.notAfter
}

// observeAnswers hands the Observer how the API server does after a health check,
// while there is something to say. It is called by one goroutine.
func (i *Inventory) observeAnswers(outcome checkOutcome, now time.Time) {
	if i.options.Observer == nil {
		return
	}
	switch failing := outcome.verdict != nil && !*outcome.verdict; {
	case !failing:
		i.notReadySince = time.Time{}
	case i.notReadySince.IsZero():
		i.notReadySince = now
	}
	o := &facts.APIServer{
		Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindAPIServer, Name: facts.ClusterName}},
		At:   now, Interval: i.options.HealthInterval, NotReadySince: i.notReadySince,
	}
	o.P99, o.ErrorRatio = i.answers.sum(now)
	well := o.P99 <= time.Second && o.ErrorRatio == 0 && o.NotReadySince.IsZero()
	// What is well is said once, for what was not before, also before a restart.
	if !well || !i.toldWell {
		i.options.Observer.Observe(o)
	}
	i.toldWell = well
	if notAfter := i.answers.certificate(); !notAfter.Equal(i.toldExpiry) {
		i.toldExpiry = notAfter
		i.options.Observer.Observe(observe.Expiry("apiserver", notAfter))
	}
}
