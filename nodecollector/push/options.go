// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package push

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	// DefaultInterval is the time between two samples.
	DefaultInterval = 15 * time.Second
	// DefaultKeep is for how long samples are kept while the agent is away.
	DefaultKeep = time.Hour

	// maxSamples is how many samples are kept at most: the agent remembers a few
	// more of the numbers that it has seen.
	maxSamples      = 4000
	defaultMaxBytes = 8 << 20
)

// Options say where to send samples and how many to keep. A zero field takes its
// default.
type Options struct {
	// URL is the https URL of the agent. Required.
	URL string
	// CAFile holds, in PEM, the certificates that the agent is verified with. It is
	// read for each connection and may be missing for a while. Required.
	CAFile string
	// TokenFile holds the token for the agent. It is read for each request.
	// Required.
	TokenFile string
	// Interval is the time between two samples. At least 1 s; default 15 s.
	Interval time.Duration
	// Keep is for how long samples are kept while the agent is away: Keep by
	// Interval of them, at least 1 and at most 4000. Default 1 h.
	Keep time.Duration
	// MaxBytes bounds what these samples take in memory. Default 8 MiB.
	MaxBytes int
	// UserAgent is how the collector calls itself.
	UserAgent string
	// Logger receives what a human may act on. Defaults to nowhere.
	Logger *slog.Logger

	// transport replaces the connection, and random the source of jitter, in tests.
	transport http.RoundTripper
	random    func() float64
}

func (o *Options) complete() error {
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	o.Keep = cmp.Or(o.Keep, DefaultKeep)
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
	o.UserAgent = cmp.Or(o.UserAgent, "atlhyper-nodecollector")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.random == nil {
		o.random = rand.Float64 // spreads load, guards nothing
	}
	switch {
	case o.CAFile == "" || o.TokenFile == "":
		return errors.New("checking the settings for the agent: the file with its certificates and the file with the token are required")
	case o.Interval < time.Second:
		return fmt.Errorf("checking the settings for the agent: an interval of %s is too short, 1s is the least", o.Interval)
	case o.Keep < o.Interval || o.MaxBytes < 0:
		return fmt.Errorf("checking the settings for the agent: samples have to be kept for at least the interval of %s, and in some memory", o.Interval)
	}
	return nil
}

// samples is how many samples are kept.
func (o *Options) samples() int {
	return int(min((o.Keep+o.Interval-1)/o.Interval, maxSamples))
}

// parseURL reads the address of the agent.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("reading the address of the agent: it is not a URL")
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("reading the address of the agent: %s is not https://HOST[:PORT]", u.Redacted())
	}
	return u, nil
}
