// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRedrawGathersChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{})
		start := time.Now()
		var drawn []time.Duration
		done := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			done <- redraw(ctx, changed, 0, func() error { drawn = append(drawn, time.Since(start)); return nil })
		}()
		for range 5 {
			changed <- struct{}{}
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if len(drawn) != 1 || drawn[0] != settle {
			t.Errorf("five changes at once were drawn at %v; want once at %v", drawn, settle)
		}
		changed <- struct{}{}
		<-time.After(2 * settle)
		synctest.Wait()
		if len(drawn) != 2 {
			t.Errorf("a later change was not drawn: %v", drawn)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRedrawRefreshesAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drawn int
		ctx, cancel := context.WithTimeout(t.Context(), 95*time.Second)
		defer cancel()
		if err := redraw(ctx, nil, 30*time.Second, func() error { drawn++; return nil }); err != nil {
			t.Error(err)
		}
		if drawn != 3 {
			t.Errorf("drawn %d times in 95 s; want 3", drawn)
		}
	})
}

func TestRedrawEndsWithTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		changed <- struct{}{}
		broken := errors.New("broken pipe")
		if err := redraw(t.Context(), changed, 0, func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}
