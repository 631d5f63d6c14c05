// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/testing/process"
	"github.com/atlhyper/atlhyper/test/delivery/actor"
)

// life is one life of a process.
type life struct {
	*process.Process
	actor.Ready
	sites, ready string
}

// errEnded says that a process ended where it was told to, before it was ready.
var errEnded = errors.New("the process ended at its site")

// begin starts a program in a folder, and waits until it works. site is where it is to
// end, empty for nowhere. The error wraps errEnded when it ended there already.
func begin(ctx context.Context, program, dir, role string, config any, site string) (*life, error) {
	l, err := launch(program, dir, role, config, site)
	if err != nil {
		return nil, err
	}
	err = l.wait(ctx)
	return l, err
}

// launch starts a program in a folder.
func launch(program, dir, role string, config any, site string) (*life, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &life{sites: filepath.Join(dir, "sites"), ready: filepath.Join(dir, "ready")}
	for _, old := range []string{l.sites, l.ready} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	b, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	env := []string{"ATLHYPER_CRASH_LOG=" + l.sites}
	if site != "" {
		env = append(env, "ATLHYPER_CRASH="+site)
	}
	l.Process, err = process.Start(process.Spec{Path: program, Args: []string{role, file}, Env: env, Log: filepath.Join(dir, "log")})
	return l, err
}

// wait waits for the file that a process writes when it works.
func (l *life) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(l.ready)
		if err == nil {
			return json.Unmarshal(b, &l.Ready)
		}
		select {
		case <-l.Done():
			if l.ended() != "" {
				return errEnded
			}
			return l.Err()
		case <-ctx.Done():
			l.Kill()
			return fmt.Errorf("waiting for %s: %w: %s", l.ready, ctx.Err(), l.Tail())
		case <-tick.C:
		}
	}
}

// passed returns the sites that the process has passed.
func (l *life) passed() []string { return l.said("passed ") }

// ended returns the site at which the process ended, or "".
func (l *life) ended() string {
	return strings.Join(l.said("ended "), " and ")
}

func (l *life) said(what string) (sites []string) {
	b, err := os.ReadFile(l.sites)
	if err != nil {
		return nil // it passed none
	}
	for line := range strings.Lines(string(b)) {
		if site, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), what); ok {
			sites = append(sites, site)
		}
	}
	return sites
}

// ask asks a process and reads its answer.
func ask[T any](ctx context.Context, l *life, path string) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Control+path, http.NoBody)
	if err != nil {
		return out, err
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return out, fmt.Errorf("asking for %s: %w", path, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return out, fmt.Errorf("asking for %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return out, fmt.Errorf("asking for %s: %s", path, b)
	}
	err = json.Unmarshal(b, &out)
	return out, err
}

// contents returns what is in a file; nothing when it is not there.
func contents(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
