// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package agent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atlhyper/atlhyper/agent/hubconn"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// scriptedHub says where telemetry goes as a test wants it.
type scriptedHub struct {
	mu        sync.Mutex
	endpoints []hubconn.Endpoint
	known     bool
	changed   chan struct{}
}

func (h *scriptedHub) Ingest() (endpoints []hubconn.Endpoint, known bool, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.endpoints, h.known, h.changed
}

func (h *scriptedHub) say(endpoints ...hubconn.Endpoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endpoints, h.known = endpoints, true
	if h.changed != nil {
		close(h.changed)
	}
	h.changed = make(chan struct{})
}

func (*scriptedHub) Token(context.Context, string, string) (string, error) {
	return "", errors.New("no token")
}

func newDelivery(t *testing.T) (*delivery, *scriptedHub) {
	t.Helper()
	hub := &scriptedHub{}
	return &delivery{dir: filepath.Join(t.TempDir(), "spool"), hub: hub, log: logr.Discard(), registry: prometheus.NewRegistry()}, hub
}

func runDelivery(t *testing.T, d *delivery) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

func event() telemetry.Payload {
	return &telemetry.Event{
		UID: "u", Type: telemetry.EventWarning, Reason: "Test", Count: 1,
		Regarding: telemetry.ObjectRef{Kind: "Pod", Name: "p"}, FirstSeen: time.Now(), LastSeen: time.Now(),
	}
}

func TestDeliveryTakesWhatTheHubWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, hub := newDelivery(t)
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); !errors.Is(err, errSpoolNotOpen) {
			t.Errorf("before it runs: %v", err)
		}
		runDelivery(t, d)
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); err != nil {
			t.Errorf("a hub that says nothing yet may want it: %v", err)
		}
		hub.say()
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); !errors.Is(err, errNoIngest) {
			t.Errorf("a hub that wants nothing: %v", err)
		}
		hub.say(hubconn.Endpoint{URL: "https://127.0.0.1:1"})
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); err != nil {
			t.Errorf("a hub that wants it: %v", err)
		}
		if got := d.spool.Load().Stats().Streams[telemetry.StreamEvents].Records; got < 2 {
			t.Errorf("%d records are kept; want the two that were taken", got)
		}
	})
}

// What a record breaks costs that record and no other.
func TestDeliveryLeavesOutWhatIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDelivery(t)
		runDelivery(t, d)
		before := d.spool.Load().Stats().Streams[telemetry.StreamEvents].Appended
		if err := d.Append(telemetry.StreamEvents, time.Now(), event(), &telemetry.CommandOutput{}, event()); err != nil {
			t.Fatal(err)
		}
		if got := d.spool.Load().Stats().Streams[telemetry.StreamEvents].Appended - before; got < 2 {
			t.Errorf("%d records were taken; want the two good ones", got)
		}
	})
}

func TestDeliveryOutlivesASpoolThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := newDelivery(t)
		if err := os.WriteFile(d.dir, nil, 0o600); err != nil { // a file where a folder belongs
			t.Fatal(err)
		}
		runDelivery(t, d)
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); !errors.Is(err, errSpoolNotOpen) {
			t.Errorf("got %v", err)
		}
		if err := os.Remove(d.dir); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		timer := time.NewTimer(2 * spoolRetryMax)
		<-timer.C
		synctest.Wait()
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); err != nil {
			t.Errorf("after the folder can be made: %v", err)
		}
	})
}

func TestDeliveryTellsHowItStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, hub := newDelivery(t)
		hub.say(hubconn.Endpoint{URL: "https://127.0.0.1:1"})
		runDelivery(t, d)
		if err := d.Append(telemetry.StreamEvents, time.Now(), event()); err != nil {
			t.Fatal(err)
		}
		timer := time.NewTimer(5 * time.Minute)
		<-timer.C
		synctest.Wait()
		if s := d.state(); s.FailingSince.IsZero() || !strings.Contains(s.Problem, "no token") || s.Oldest < 4*time.Minute {
			t.Errorf("got %+v", s)
		}
		w := httptest.NewRecorder()
		d.metrics().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
		for _, want := range []string{"atlhyper_agent_uplink_failing{lane=\"live\"} 1", "atlhyper_agent_spool_"} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("/metrics lacks %s:\n%s", want, w.Body)
			}
		}
	})
}
