// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"unique"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newStore makes a store without a reflector; signals counts calls of changed.
func newStore[O any, S, T comparable](reduce func(*O) S, count func(*T, S, int32)) (s *store[S, T], signals *int) {
	signals = new(int)
	return &store[S, T]{
		reduce:  reducer(reduce),
		count:   count,
		listed:  func() bool { return false },
		changed: func() { *signals++ },
		mu:      new(sync.Mutex),
		objects: map[objectKey]S{},
	}, signals
}

func randomPod(r *rand.Rand, name string) *corev1.Pod {
	phases := []corev1.PodPhase{"", corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%d", r.IntN(3)), Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{container("c", fmt.Sprintf("%dm", r.IntN(500)), "1Mi")}},
		Status:     corev1.PodStatus{Phase: phases[r.IntN(len(phases))]},
	}
	if r.IntN(3) > 0 {
		pod.Spec.NodeName = fmt.Sprintf("n-%d", r.IntN(4))
	}
	if r.IntN(2) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return pod
}

func randomNode(r *rand.Rand, name string) *corev1.Node {
	schemes := []string{"", "aws://x", "kind://x", "nobody://x"}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{ProviderID: schemes[r.IntN(len(schemes))]},
		Status: corev1.NodeStatus{
			Capacity: list(fmt.Sprint(r.IntN(64)), "64Gi"), Allocatable: list(fmt.Sprint(r.IntN(64)), "60Gi"),
		},
	}
	if r.IntN(2) > 0 {
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	}
	return node
}

// followRandomChanges compares a store's tally with one made anew from a model,
// after each step of random sequences of everything a reflector can do.
func followRandomChanges[O any, S, T comparable](
	t *testing.T, reduce func(*O) S, count func(*T, S, int32), random func(*rand.Rand, string) *O,
) {
	t.Helper()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, signals := newStore(reduce, count)
		model := map[objectKey]*O{}
		if err := s.Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
		for step := range 200 {
			object := random(r, fmt.Sprintf("o-%d", r.IntN(20)))
			key, _ := keyOf(object)
			before, signalled := s.tally, *signals
			var err error
			switch action := r.IntN(20); {
			case action < 8:
				model[key] = object
				err = s.Add(object)
			case action < 14:
				model[key] = object
				err = s.Update(object)
			case action < 18:
				delete(model, key)
				err = s.Delete(object)
			default:
				model = map[objectKey]*O{}
				var listing []any
				for n := range r.IntN(20) {
					object := random(r, fmt.Sprintf("o-%d", n))
					key, _ := keyOf(object)
					model[key] = object
					if action == 18 {
						listing = append(listing, object)
						continue
					}
					slim, err := s.Transformer()(object)
					if err != nil {
						t.Fatal(err)
					}
					listing = append(listing, slim)
				}
				err = s.Replace(listing, "2")
			}
			if err != nil {
				t.Fatal(err)
			}
			var want T
			for _, object := range model {
				count(&want, reduce(object), +1)
			}
			if s.tally != want {
				t.Fatalf("seed %d, step %d: tally %+v, from scratch %+v", seed, step, s.tally, want)
			}
			if len(s.objects) != len(model) {
				t.Fatalf("seed %d, step %d: %d objects, want %d", seed, step, len(s.objects), len(model))
			}
			if got, want := *signals > signalled, s.tally != before; got != want {
				t.Fatalf("seed %d, step %d: signalled %t, changed %t", seed, step, got, want)
			}
		}
	}
}

func TestTallyFollowsChanges(t *testing.T) {
	t.Run("pods", func(t *testing.T) { followRandomChanges(t, slimPodOf, countPod, randomPod) })
	t.Run("nodes", func(t *testing.T) { followRandomChanges(t, slimNodeOf, countNode, randomNode) })
	t.Run("workloads", func(t *testing.T) {
		followRandomChanges(t, func(*corev1.Pod) slimWorkload { return slimWorkload{} }, countWorkload, randomPod)
	})
}

func TestSignals(t *testing.T) {
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := randomPod(rand.New(rand.NewPCG(1, 1)), "a")
		p.Namespace, p.Spec.NodeName, p.Status.Phase = "ns", "n", corev1.PodRunning
		change(p)
		return p
	}
	same := pod(func(*corev1.Pod) {})
	for name, tt := range map[string]struct {
		act  func(*store[slimPod, podTally]) error
		want int
	}{
		"the same again":      {func(s *store[slimPod, podTally]) error { return s.Update(same.DeepCopy()) }, 0},
		"the same listing":    {func(s *store[slimPod, podTally]) error { return s.Replace([]any{same.DeepCopy()}, "9") }, 0},
		"a resync":            {func(s *store[slimPod, podTally]) error { return s.Resync() }, 0},
		"deleting a stranger": {func(s *store[slimPod, podTally]) error { return s.Delete(&corev1.Pod{}) }, 0},
		"a label": {func(s *store[slimPod, podTally]) error {
			return s.Update(pod(func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }))
		}, 0},
		"another node": {func(s *store[slimPod, podTally]) error {
			return s.Update(pod(func(p *corev1.Pod) { p.Spec.NodeName = "m" }))
		}, 0},
		"another phase": {func(s *store[slimPod, podTally]) error {
			return s.Update(pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }))
		}, 1},
		"gone":                  {func(s *store[slimPod, podTally]) error { return s.Delete(same) }, 1},
		"gone while not looked": {func(s *store[slimPod, podTally]) error { return s.Replace(nil, "9") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, signals := newStore(slimPodOf, countPod)
			if err := s.Replace([]any{same}, "1"); err != nil {
				t.Fatal(err)
			}
			if *signals != 1 {
				t.Fatalf("the first listing made %d signals, want 1", *signals)
			}
			*signals = 0
			if err := tt.act(s); err != nil {
				t.Fatal(err)
			}
			if *signals != tt.want {
				t.Errorf("%d signals, want %d", *signals, tt.want)
			}
		})
	}
}

func TestFirstListingIsNewsEvenWhenEmpty(t *testing.T) {
	s, signals := newStore(slimPodOf, countPod)
	if err := s.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if !s.synced || *signals != 1 {
		t.Errorf("synced %t with %d signals, want true with 1", s.synced, *signals)
	}
}

func TestStoreRefusesOtherKinds(t *testing.T) {
	s, _ := newStore(slimPodOf, countPod)
	for name, act := range map[string]func() error{
		"Add":       func() error { return s.Add(&corev1.Node{}) },
		"Update":    func() error { return s.Update("a string") },
		"Delete":    func() error { return s.Delete("a string") },
		"Replace":   func() error { return s.Replace([]any{&corev1.Node{}}, "1") },
		"transform": func() error { _, err := s.Transformer()(&corev1.Node{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := act(); err == nil {
				t.Error("no error")
			}
			if s.synced || len(s.objects) != 0 {
				t.Error("the store changed")
			}
		})
	}
}

func TestTransformIsIdempotent(t *testing.T) {
	s, _ := newStore(slimPodOf, countPod)
	once, err := s.Transformer()(randomPod(rand.New(rand.NewPCG(1, 1)), "a"))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := s.Transformer()(once)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(once, twice, cmp.AllowUnexported(slimObject[slimPod]{}, slimPod{}, objectKey{}, unique.Handle[string]{})); diff != "" {
		t.Error(diff)
	}
}
