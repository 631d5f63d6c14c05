// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package report

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/agent/inventory"
	"github.com/atlhyper/atlhyper/api/v1alpha1"
	atlhyperac "github.com/atlhyper/atlhyper/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

type fakeInventory struct {
	mu       sync.Mutex
	snapshot inventory.Snapshot
	changed  chan struct{}
}

func (f *fakeInventory) Snapshot() inventory.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot
}

func (f *fakeInventory) Changed() <-chan struct{} { return f.changed }

func (f *fakeInventory) set(snapshot inventory.Snapshot) {
	f.mu.Lock()
	f.snapshot = snapshot
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// fakeHub keeps what is applied, as the hub's API server would.
type fakeHub struct {
	mu        sync.Mutex
	cluster   *v1alpha1.ManagedCluster
	connected bool
	err       error
	changed   chan struct{}
	applied   []time.Time
	tries     int
}

func (f *fakeHub) Cluster() (string, *v1alpha1.ManagedCluster, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return "prod", f.cluster, f.connected
}

func (f *fakeHub) Changed() <-chan struct{} { return f.changed }

func (f *fakeHub) ApplyStatus(_ context.Context, configuration *atlhyperac.ManagedClusterApplyConfiguration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.err != nil {
		return f.err
	}
	document, err := json.Marshal(configuration.Status)
	if err != nil {
		return err
	}
	f.cluster = f.cluster.DeepCopy()
	f.cluster.Status = v1alpha1.ManagedClusterStatus{}
	if err := json.Unmarshal(document, &f.cluster.Status); err != nil {
		return err
	}
	f.applied = append(f.applied, time.Now())
	f.signal()
	return nil
}

func (f *fakeHub) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

func (f *fakeHub) set(change func(*fakeHub)) {
	f.mu.Lock()
	change(f)
	f.mu.Unlock()
	f.signal()
}

func (f *fakeHub) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.applied)
}

func startReporter(t *testing.T, snapshot inventory.Snapshot) (*fakeInventory, *fakeHub) {
	t.Helper()
	inv := &fakeInventory{snapshot: snapshot, changed: make(chan struct{}, 1)}
	hub := &fakeHub{
		cluster:   &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "prod", UID: "1"}},
		connected: true, changed: make(chan struct{}, 1),
	}
	reporter, err := New(Options{Inventory: inv, Hub: hub, Agent: agent})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reporter.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run failed: %v", err)
		}
	})
	synctest.Wait()
	return inv, hub
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
	synctest.Wait()
}

func TestIdleClusterIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, healthy())
		for range 100 {
			pass(t, time.Minute)
			inv.set(healthy())
		}
		if n := hub.writes(); n != 1 {
			t.Errorf("%d writes in 100 idle minutes; want the first one", n)
		}
	})
}

func TestBurstsAreReportedAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, healthy())
		if n := hub.writes(); n != 1 {
			t.Fatalf("%d writes at the start; want 1 at once", n)
		}
		for i := range 600 {
			snapshot := healthy()
			snapshot.Pods.Total += int32(i)
			inv.set(snapshot)
			pass(t, 100*time.Millisecond)
		}
		pass(t, 10*time.Second)
		if n := hub.writes(); n < 6 || n > 8 {
			t.Errorf("%d writes for a minute of changes; want 7", n)
		}
		if got := *hub.cluster.Status.Pods.Total; got != 10+599 {
			t.Errorf("the last total is %d; want %d", got, 10+599)
		}
	})
}

func TestHealthChangeGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, healthy())
		pass(t, 2*time.Second)
		snapshot := healthy()
		snapshot.APIServer = inventory.APIServerHealth{Healthy: new(false), Since: time.Now(), Message: "away"}
		inv.set(snapshot)
		synctest.Wait()
		if n := hub.writes(); n != 2 {
			t.Errorf("%d writes; want the second at once", n)
		}
	})
}

func TestDriftIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hub := startReporter(t, healthy())
		pass(t, time.Minute)
		hub.set(func(h *fakeHub) {
			h.cluster = h.cluster.DeepCopy()
			h.cluster.Status.Nodes = nil
		})
		pass(t, time.Minute)
		if n := hub.writes(); n != 1 {
			t.Errorf("%d writes 1 min after the drift; want it left until the comparison", n)
		}
		pass(t, 5*time.Minute)
		if n := hub.writes(); n != 2 || hub.cluster.Status.Nodes == nil {
			t.Errorf("%d writes; want 2, and the nodes back", n)
		}
		pass(t, time.Hour)
		if n := hub.writes(); n != 2 {
			t.Errorf("%d writes an hour after the repair; want 2", n)
		}
	})
}

func TestSilentWhileNotConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, healthy())
		hub.set(func(h *fakeHub) { h.connected = false })
		snapshot := healthy()
		snapshot.Nodes.Ready = 0
		inv.set(snapshot)
		pass(t, time.Hour)
		if n := hub.writes(); n != 1 {
			t.Errorf("%d writes; want none while not connected", n)
		}
		hub.set(func(h *fakeHub) { h.connected = true })
		synctest.Wait()
		if n := hub.writes(); n != 2 {
			t.Errorf("%d writes; want one at once when connected again", n)
		}
	})
}

func TestFailuresAreRetriedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, healthy())
		hub.set(func(h *fakeHub) { h.err = errors.New("busy") })
		before := hub.tries
		snapshot := healthy()
		snapshot.Nodes.Ready = 0
		inv.set(snapshot)
		for range 600 {
			pass(t, time.Second)
			inv.set(snapshot)
		}
		if n := hub.tries - before; n < 8 || n > 20 {
			t.Errorf("%d tries in 10 minutes; want about 13", n)
		}
		hub.set(func(h *fakeHub) { h.err = nil })
		pass(t, 90*time.Second)
		if n := hub.writes(); n != 2 {
			t.Errorf("%d writes; want 2", n)
		}
	})
}

func TestFirstReportWaitsForTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv, hub := startReporter(t, inventory.Snapshot{})
		pass(t, 5*time.Second)
		if n := hub.writes(); n != 0 {
			t.Fatalf("%d writes of nothing", n)
		}
		inv.set(healthy())
		synctest.Wait()
		if n := hub.writes(); n != 1 {
			t.Errorf("%d writes once listed; want 1", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, hub := startReporter(t, inventory.Snapshot{})
		pass(t, 20*time.Second)
		if n := hub.writes(); n != 1 {
			t.Errorf("%d writes after 20 s without a listing; want 1 that says so", n)
		}
	})
}

// A ManagedCluster that was deleted and made again has nothing of the old one.
func TestNewObjectIsReportedAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hub := startReporter(t, healthy())
		pass(t, time.Second)
		hub.set(func(h *fakeHub) {
			h.cluster = &v1alpha1.ManagedCluster{ObjectMeta: metav1.ObjectMeta{Name: "prod", UID: "2"}}
		})
		synctest.Wait()
		if n := hub.writes(); n != 2 {
			t.Errorf("%d writes; want 2", n)
		}
	})
}
