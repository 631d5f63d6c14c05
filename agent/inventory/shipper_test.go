// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func TestKindsTakeTurns(t *testing.T) {
	h := newHub()
	s := newShipper(telemetry.StreamInventory, h, logr.Discard())
	pods := newLedger(telemetry.KindPod, convertPod, s.nudge)
	sets := newLedger(telemetry.KindReplicaSet, convertReplicaSet, s.nudge)
	s.sources = []source{pods, sets}
	var listing []any
	for n := range 50 {
		listing = append(listing, toldPod(n))
	}
	if err := pods.Replace(listing, "1"); err != nil {
		t.Fatal(err)
	}
	set := randomReplicaSet(rand.New(rand.NewPCG(1, 1)), "s")
	set.Spec.Replicas = nil
	if err := sets.Replace([]any{set}, "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.round(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if !h.listed(telemetry.KindReplicaSet) || h.listed(telemetry.KindPod) {
		t.Errorf("the hub got %v", h.entries())
	}
}

// twoKinds are ledgers of pods and ReplicaSets, each with one object, and their
// shipper, which runs until the test ends.
func twoKinds(t *testing.T) (pods, sets *ledger, h *hub, s *shipper) {
	t.Helper()
	h = newHub()
	s = newShipper(telemetry.StreamInventory, h, logr.Discard())
	pods = newLedger(telemetry.KindPod, convertPod, s.nudge)
	sets = newLedger(telemetry.KindReplicaSet, convertReplicaSet, s.nudge)
	s.sources = []source{pods, sets}
	set := randomReplicaSet(rand.New(rand.NewPCG(1, 1)), "s")
	set.Spec.Replicas = nil
	for _, err := range []error{pods.Replace([]any{toldPod(1)}, "1"), sets.Replace([]any{set}, "1")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	go s.run(t.Context())
	return pods, sets, h, s
}

func TestARefusedKindHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods, _, h, s := twoKinds(t)
		synctest.Wait()
		h.set(func(_ telemetry.Stream, values []telemetry.Payload) (int, error) {
			d, _ := values[len(values)-1].(*telemetry.ObjectDelta)
			if d.Kind == telemetry.KindPod && d.Op != telemetry.OpSnapshotBegin {
				return 0, errSink
			}
			return len(values), nil
		})
		s.resync()
		if err := pods.Add(toldPod(2)); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		if n := h.count(telemetry.OpSnapshotEnd, telemetry.KindReplicaSet); n != 2 {
			t.Errorf("%d snapshots of the other kind, want 2", n)
		}
		h.set(nil)
		pass(time.Minute)
		if n := len(h.objects[telemetry.KindPod]); n != 2 || h.complaints() != nil {
			t.Errorf("the hub knows %d pods, want 2; %v", n, h.complaints())
		}
	})
}

func TestAnOutageMakesSnapshotsOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods, sets, h, _ := twoKinds(t)
		synctest.Wait()
		h.set(refuse)
		failed := toldPod(1)
		failed.Status.Phase = corev1.PodFailed
		another := randomReplicaSet(rand.New(rand.NewPCG(2, 2)), "another")
		another.Spec.Replicas = nil
		if err := pods.Update(failed); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if err := sets.Add(another); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		h.set(nil)
		pass(time.Minute)
		for kind, want := range map[telemetry.Kind]int{telemetry.KindPod: 2, telemetry.KindReplicaSet: 1} {
			if n := h.count(telemetry.OpSnapshotBegin, kind); n != want {
				t.Errorf("%d snapshots of %s, want %d", n, kind, want)
			}
		}
		if len(h.objects[telemetry.KindReplicaSet]) != 2 || h.complaints() != nil {
			t.Errorf("the hub knows %d ReplicaSets, want 2; %v", len(h.objects[telemetry.KindReplicaSet]), h.complaints())
		}
	})
}
