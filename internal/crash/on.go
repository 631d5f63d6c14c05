// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build crashsites

package crash

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// At marks a moment, and ends the process there when that was asked for.
func At(site string) { appointed().pass(site) }

// Sent marks the moment at which the HTTP request that is made with the returned
// context has been written, and its answer has not been read.
func Sent(ctx context.Context, site string) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { At(site) }})
}

// appointment is where the process is to end, and what it has passed.
type appointment struct {
	site string
	left int
	log  *os.File

	mu     sync.Mutex
	passed map[string]bool
}

var appointed = sync.OnceValue(func() *appointment {
	a, err := parse(os.Getenv("ATLHYPER_CRASH"), os.Getenv("ATLHYPER_CRASH_LOG"))
	if err != nil {
		panic(err) //nolint:forbidigo // a test that misspells where to end must not pass
	}
	return a
})

func parse(site, log string) (*appointment, error) {
	a := &appointment{passed: map[string]bool{}}
	if site != "" {
		name, count, ok := strings.Cut(site, ":")
		n, err := strconv.Atoi(count)
		if !ok || err != nil || n < 1 {
			return nil, fmt.Errorf("reading ATLHYPER_CRASH: %q is not SITE:COUNT with a count from 1", site)
		}
		a.site, a.left = name, n
	}
	if log == "" {
		return a, nil
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // whoever starts the program says where
	if err != nil {
		return nil, fmt.Errorf("opening what ATLHYPER_CRASH_LOG names: %w", err)
	}
	a.log = f
	return a, nil
}

func (a *appointment) pass(site string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.passed[site] {
		a.passed[site] = true
		a.note("passed", site)
	}
	if site != a.site {
		return
	}
	a.left--
	if a.left > 0 {
		return
	}
	a.note("ended", site)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nobody is left to see an error
	select {}
}

// note writes a line, which survives the process.
func (a *appointment) note(what, site string) {
	if a.log == nil {
		return
	}
	if _, err := fmt.Fprintf(a.log, "%s %s\n", what, site); err != nil {
		panic(err) //nolint:forbidigo // what was passed would be told wrong
	}
}
