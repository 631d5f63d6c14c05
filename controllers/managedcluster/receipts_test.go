// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package managedcluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/atlhyper/atlhyper/api/v1alpha1"
)

// archive is a scripted Telemetry that counts how often it is asked.
type archive struct {
	answer func(ctx context.Context, name string, id types.UID) (Received, error)
	asked  int
}

func (a *archive) Received(ctx context.Context, name string, id types.UID) (Received, error) {
	a.asked++
	return a.answer(ctx, name, id)
}

func storedNow(context.Context, string, types.UID) (Received, error) {
	return Received{LastStored: time.Now()}, nil
}

func gone(context.Context, string, types.UID) (Received, error) {
	return Received{}, fmt.Errorf("reading offsets: %w", ErrTelemetryUnavailable)
}

func hangs(ctx context.Context, _ string, _ types.UID) (Received, error) {
	<-ctx.Done()
	return Received{}, ctx.Err()
}

// elapse advances the clock of a bubble.
func elapse(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// follow reads as a controller does, when it said that it would, for some time. It
// returns the last view.
func follow(t *testing.T, r *receipts, d time.Duration, names ...string) TelemetryView {
	t.Helper()
	var last TelemetryView
	due := map[string]time.Time{}
	for end := time.Now().Add(d); ; {
		next := end
		for _, name := range names {
			if !time.Now().Before(due[name]) {
				last = r.read(t.Context(), name, "id", "")
				if !last.NextCheck.After(time.Now()) {
					t.Fatalf("%s is to be looked at again at once, or never: %+v", name, last)
				}
				due[name] = last.NextCheck
			}
			next = earliest(next, due[name])
		}
		if !next.Before(end) {
			elapse(t, time.Until(end))
			return last
		}
		elapse(t, time.Until(next))
	}
}

func TestIdleClustersCostFewQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: storedNow}
		r := newReceipts(a, time.Now)
		for range 40 { // as often as the Lease of a connected cluster is looked at
			if view := r.read(t.Context(), "x", "id", ""); view.State != TelemetryKnown {
				t.Fatalf("got %+v", view)
			}
			elapse(t, 90*time.Second)
		}
		if a.asked < 8 || a.asked > 13 {
			t.Errorf("asked %d times in an hour, want about 11", a.asked)
		}
	})
}

func TestNewClustersAreAskedAboutSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: func(context.Context, string, types.UID) (Received, error) { return Received{}, nil }}
		r := newReceipts(a, time.Now)
		follow(t, r, time.Minute, "x")
		if a.asked < 3 || a.asked > 4 {
			t.Errorf("asked %d times in the first minute", a.asked)
		}
		follow(t, r, time.Hour, "x")
		if a.asked > 22 {
			t.Errorf("asked %d times in an hour in which nothing arrived", a.asked)
		}
	})
}

func TestWhatOutdatesAnAnswer(t *testing.T) {
	for name, happens := range map[string]func(*receipts) (id types.UID, delivery string){
		"news of the cluster":       func(r *receipts) (types.UID, string) { r.news("x"); return "id", "" },
		"news of all":               func(r *receipts) (types.UID, string) { r.news(""); return "id", "" },
		"it was not connected":      func(r *receipts) (types.UID, string) { r.outdate("x"); return "id", "" },
		"the agent cannot deliver":  func(*receipts) (types.UID, string) { return "id", "since noon" },
		"another cluster's records": func(*receipts) (types.UID, string) { return "other", "" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &archive{answer: storedNow}
				r := newReceipts(a, time.Now)
				r.read(t.Context(), "x", "id", "")
				r.read(t.Context(), "x", "id", "")
				if a.asked != 1 {
					t.Fatalf("asked %d times for nothing", a.asked)
				}
				id, delivery := happens(r)
				view := r.read(t.Context(), "x", id, delivery)
				if a.asked == 1 { // not at once, but soon
					if pause := time.Until(view.NextCheck); pause <= 0 || pause > askAgain {
						t.Fatalf("to be asked in %s", pause)
					}
					elapse(t, time.Until(view.NextCheck))
					r.read(t.Context(), "x", id, delivery)
				}
				r.read(t.Context(), "x", id, delivery)
				if a.asked != 2 {
					t.Errorf("asked %d times, want once more", a.asked)
				}
			})
		})
	}
}

func TestAStormOfNewsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: storedNow}
		r := newReceipts(a, time.Now)
		for range 600 {
			r.news("x")
			r.read(t.Context(), "x", "id", "")
			elapse(t, 100*time.Millisecond)
		}
		if a.asked > 13 {
			t.Errorf("asked %d times in a minute", a.asked)
		}
	})
}

func TestDatabaseGoesAwayAndComesBack(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("cluster-", i)
	}
	for name, trouble := range map[string]func(context.Context, string, types.UID) (Received, error){
		"it refuses": gone, "it hangs": hangs,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &archive{answer: storedNow}
				r := newReceipts(a, time.Now)
				follow(t, r, time.Second, names...)
				began := r.storable

				a.answer, a.asked = trouble, 0
				r.news("")
				elapse(t, askAgain)
				if view := follow(t, r, 5*time.Second, names...); view.State == TelemetryAway {
					t.Error("called away after a moment")
				}
				if view := follow(t, r, 2*time.Minute, names...); view.State != TelemetryAway {
					t.Errorf("not called away: %+v", view)
				}
				if a.asked > 15 {
					t.Errorf("asked %d times in 2 minutes", a.asked)
				}

				a.answer, a.asked = storedNow, 0
				if view := follow(t, r, 45*time.Second, names...); view.State != TelemetryKnown || !view.StorableSince.After(began) {
					t.Errorf("not found to be back: %+v", view)
				}
				if a.asked < len(names) || a.asked > len(names)+10 {
					t.Errorf("asked %d times about %d clusters", a.asked, len(names))
				}
			})
		})
	}
}

func TestNewsOfTheDatabaseAreActedUponAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: gone}
		r := newReceipts(a, time.Now)
		if view := follow(t, r, time.Minute, "x"); view.State != TelemetryAway {
			t.Fatalf("not away: %+v", view)
		}
		r.read(t.Context(), "x", "id", "") // asks now or has just asked
		a.answer = storedNow
		if view := r.read(t.Context(), "x", "id", ""); view.State != TelemetryAway {
			t.Fatalf("asked without news: %+v", view)
		}
		r.news("x")
		if view := r.read(t.Context(), "x", "id", ""); view.State != TelemetryKnown {
			t.Errorf("not back: %+v", view)
		}
	})
}

func TestARestartOfTheDatabaseIsNotWorthAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: storedNow}
		r := newReceipts(a, time.Now)
		r.read(t.Context(), "x", "id", "")
		a.answer = gone
		r.news("")
		elapse(t, askAgain)
		if view := r.read(t.Context(), "x", "id", ""); view.State != TelemetryUnsure {
			t.Errorf("got %+v", view)
		}
		elapse(t, 8*time.Second)
		a.answer = storedNow
		if view := follow(t, r, 10*time.Second, "x"); view.State != TelemetryKnown {
			t.Errorf("got %+v", view)
		}
	})
}

func TestOtherErrorsKeepWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &archive{answer: func(context.Context, string, types.UID) (Received, error) { return Received{}, errors.New("a bug") }}
		r := newReceipts(a, time.Now)
		if view := r.read(t.Context(), "x", "id", ""); view.State != TelemetryUnsure || view.NextCheck.IsZero() {
			t.Errorf("got %+v", view)
		}
		a.answer = storedNow
		follow(t, r, 6*time.Minute, "x")
		a.answer = func(context.Context, string, types.UID) (Received, error) { return Received{}, errors.New("a bug") }
		if view := follow(t, r, 6*time.Minute, "x"); view.State != TelemetryKnown {
			t.Errorf("got %+v", view)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.answer = hangs
		r.news("x")
		elapse(t, askAgain)
		if view := r.read(ctx, "x", "id", ""); view.State != TelemetryUnsure || !r.failing.IsZero() {
			t.Errorf("the end of a reconciliation counts as an outage: %+v", view)
		}
	})
}

func TestEventsEnqueueClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceipts(&archive{answer: storedNow}, time.Now)
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		handler := r.handler(func() []string { return []string{"a", "b", "c"} })
		of := func(name string) event.GenericEvent {
			mc := &v1alpha1.ManagedCluster{}
			mc.Name = name
			return event.GenericEvent{Object: mc}
		}
		handler.Generic(t.Context(), of("x"), queue)
		if queue.Len() != 1 {
			t.Fatalf("%d clusters are enqueued, want 1 at once", queue.Len())
		}
		if request, _ := queue.Get(); request.Name != "x" {
			t.Errorf("got %s", request.Name)
		}
		handler.Generic(t.Context(), event.GenericEvent{}, queue)
		elapse(t, spreadAll)
		if queue.Len() != 3 {
			t.Errorf("%d clusters are enqueued, want 3", queue.Len())
		}
	})
}
