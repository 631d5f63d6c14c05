// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

func randomUID(r *rand.Rand) types.UID {
	return types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32()))
}

func randomFullPod(r *rand.Rand, name string) *corev1.Pod {
	pod := randomPod(r, name)
	pod.UID = randomUID(r)
	pod.Labels = map[string]string{"app": name, "color": strconv.Itoa(r.IntN(3))}
	return pod
}

// randomReplicaSet is hidden half of the time.
func randomReplicaSet(r *rand.Rand, name string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{}
	set.Namespace, set.Name, set.UID = fmt.Sprintf("ns-%d", r.IntN(3)), name, randomUID(r)
	set.Spec.Replicas = new(r.Int32N(2))
	return set
}

// followRandomChain applies what a ledger sends to a model of the hub, which must
// in the end know exactly what there is.
func followRandomChain[O any](
	t *testing.T, kind telemetry.Kind, convert func(*O, *builder) bool,
	random func(*rand.Rand, string) *O, uid func(*O) *types.UID,
) {
	t.Helper()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		h := newHub()
		l := newLedger(kind, convert, func() {})
		s := newShipper(telemetry.StreamInventory, h, logr.Discard())
		s.sources = []source{l}
		model := map[objectKey]*O{}
		identity := map[objectKey]types.UID{}
		make1 := func(name string) (*O, objectKey) {
			o := random(r, name)
			key, _ := keyOf(o)
			// Mostly another state of the same object, sometimes another object.
			if known, ok := identity[key]; ok && r.IntN(5) > 0 {
				*uid(o) = known
			}
			identity[key] = *uid(o)
			return o, key
		}
		mood := func() {
			switch r.IntN(6) {
			case 0:
				h.set(func(_ telemetry.Stream, values []telemetry.Payload) (int, error) {
					return r.IntN(len(values) + 1), errSink
				})
			case 1: // records are lost, and the sink says so while it takes others
				h.set(func(_ telemetry.Stream, values []telemetry.Payload) (int, error) {
					s.resync()
					return r.IntN(len(values) + 1), nil
				})
			default:
				h.set(nil)
			}
		}
		var err error
		for step := range 300 {
			switch action := r.IntN(40); {
			case action < 16:
				o, key := make1(fmt.Sprintf("o-%d", r.IntN(12)))
				model[key] = o
				err = l.Add(o)
			case action < 24:
				o, key := make1(fmt.Sprintf("o-%d", r.IntN(12)))
				delete(model, key)
				err = l.Delete(o)
			case action < 26:
				model = map[objectKey]*O{}
				var listing []any
				for n := range r.IntN(12) {
					o, key := make1(fmt.Sprintf("o-%d", n))
					model[key] = o
					seen, err := l.Transformer()(o)
					if err != nil {
						t.Fatal(err)
					}
					listing = append(listing, []any{o, seen}[r.IntN(2)])
				}
				err = l.Replace(listing, "2")
			case action < 27:
				s.resync()
			case action < 30:
				mood()
			default:
				_, _ = s.round(t.Context(), 1+r.IntN(6))
			}
			if err != nil {
				t.Fatal(err)
			}
			if waiting, most := len(l.queue.keys), 2*len(l.objects)+2*spareKeys; waiting > most {
				t.Fatalf("seed %d, step %d: %d keys wait for %d objects", seed, step, waiting, len(l.objects))
			}
		}
		var listing []any
		for _, o := range model {
			listing = append(listing, o)
		}
		if err := l.Replace(listing, "3"); err != nil {
			t.Fatal(err)
		}
		h.set(nil)
		drain(t, s)

		want := map[string]telemetry.ObjectDelta{}
		var b builder
		for key, o := range model {
			if convert(o, &b) {
				rec := b.finish()
				want[key.namespace.Value()+"/"+key.name] = rec.delta(kind, key)
			}
		}
		if diff := cmp.Diff(want, h.objects[kind]); diff != "" {
			t.Fatalf("seed %d: the hub knows other than there is (-is +known):\n%s", seed, diff)
		}
		for _, problem := range h.complaints() {
			t.Errorf("seed %d: %s", seed, problem)
		}
		if l.queue.waiting() || len(l.queue.keys) != 0 {
			t.Errorf("seed %d: %d keys are left in the queue", seed, len(l.queue.keys))
		}
		if got, want := len(l.objects), len(want); got != want {
			t.Errorf("seed %d: %d entries are kept for %d objects", seed, got, want)
		}
		if t.Failed() {
			return
		}
	}
}

// drain ships until nothing is left.
func drain(t *testing.T, s *shipper) {
	t.Helper()
	for range 10_000 {
		sent, err := s.round(t.Context(), 5)
		if err != nil {
			t.Fatal(err)
		}
		if !sent {
			return
		}
	}
	t.Fatal("it never ends")
}

func TestHubKnowsExactlyWhatThereIs(t *testing.T) {
	t.Run("pods", func(t *testing.T) {
		followRandomChain(t, telemetry.KindPod, convertPod, randomFullPod, func(p *corev1.Pod) *types.UID { return &p.UID })
	})
	t.Run("replica sets, which may hide", func(t *testing.T) {
		followRandomChain(t, telemetry.KindReplicaSet, convertReplicaSet, randomReplicaSet, func(s *appsv1.ReplicaSet) *types.UID { return &s.UID })
	})
}

// chain is a pod's ledger with a shipper to a hub, after a first listing.
func chain(t *testing.T, listed ...any) (*ledger, *shipper, *hub) {
	t.Helper()
	h := newHub()
	s := newShipper(telemetry.StreamInventory, h, logr.Discard())
	l := newLedger(telemetry.KindPod, convertPod, s.nudge)
	s.sources = []source{l}
	if err := l.Replace(listed, "1"); err != nil {
		t.Fatal(err)
	}
	drain(t, s)
	return l, s, h
}

func TestNothingIsSentBeforeTheFirstListing(t *testing.T) {
	h := newHub()
	s := newShipper(telemetry.StreamInventory, h, logr.Discard())
	l := newLedger(telemetry.KindPod, convertPod, s.nudge)
	s.sources = []source{l}
	if err := l.Add(toldPod(1)); err != nil {
		t.Fatal(err)
	}
	drain(t, s)
	if got := h.entries(); len(got) != 0 {
		t.Errorf("the hub got %v", got)
	}
}

func TestWhatEachChangeSends(t *testing.T) {
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := toldPod(1)
		p.Name, p.ResourceVersion = "a", "5"
		change(p)
		return p
	}
	same := func(*corev1.Pod) {}
	newer := func(p *corev1.Pod) { p.ResourceVersion = "6" }
	failed := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	another := func(p *corev1.Pod) { p.UID = "another" }
	for name, tt := range map[string]struct {
		act  func(*ledger) error
		want []string
	}{
		"the same again":  {func(l *ledger) error { return l.Update(pod(same)) }, nil},
		"another version": {func(l *ledger) error { return l.Update(pod(newer)) }, nil},
		"a heartbeat": {func(l *ledger) error {
			return l.Update(pod(func(p *corev1.Pod) {
				p.ResourceVersion = "7"
				p.Status.Conditions[0].LastProbeTime.Time = time.Unix(1, 0)
				p.ManagedFields = nil
				p.Annotations = map[string]string{"checked": "now"}
			}))
		}, nil},
		"the same listing": {func(l *ledger) error { return l.Replace([]any{pod(newer)}, "9") }, nil},
		"another phase":    {func(l *ledger) error { return l.Update(pod(failed)) }, []string{"upsert Pod a"}},
		"two changes are one": {func(l *ledger) error {
			_ = l.Update(pod(failed))
			return l.Update(pod(func(p *corev1.Pod) { p.Spec.NodeName = "m" }))
		}, []string{"upsert Pod a"}},
		"gone":                  {func(l *ledger) error { return l.Delete(pod(same)) }, []string{"delete Pod a"}},
		"changed, then gone":    {func(l *ledger) error { _ = l.Update(pod(failed)); return l.Delete(pod(same)) }, []string{"delete Pod a"}},
		"gone while not looked": {func(l *ledger) error { return l.Replace(nil, "9") }, []string{"delete Pod a"}},
		"came and went": {func(l *ledger) error {
			b := pod(func(p *corev1.Pod) { p.Name, p.UID = "b", "b" })
			_ = l.Add(b)
			return l.Delete(b)
		}, nil},
		"made again":            {func(l *ledger) error { _ = l.Delete(pod(same)); return l.Add(pod(another)) }, []string{"delete Pod a", "upsert Pod a"}},
		"made again unseen":     {func(l *ledger) error { return l.Replace([]any{pod(another)}, "9") }, []string{"delete Pod a", "upsert Pod a"}},
		"made again, then gone": {func(l *ledger) error { _ = l.Add(pod(another)); return l.Delete(pod(another)) }, []string{"delete Pod a"}},
		"resync":                {func(l *ledger) error { l.again(); return nil }, []string{"snapshot-begin Pod ", "upsert Pod a", "snapshot-end Pod "}},
		"a stranger is deleted": {func(l *ledger) error { return l.Delete(toldPod(2)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, s, h := chain(t, pod(same))
			h.log = nil
			if err := tt.act(l); err != nil {
				t.Fatal(err)
			}
			drain(t, s)
			if diff := cmp.Diff(tt.want, h.entries()); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if problems := h.complaints(); problems != nil {
				t.Error(problems)
			}
		})
	}
}

func TestDeleteTellsWhatIsGone(t *testing.T) {
	pod := toldPod(1)
	pod.ResourceVersion = "41"
	l, s, _ := chain(t, pod)
	newer := pod.DeepCopy()
	newer.ResourceVersion = "42"
	if err := l.Update(newer); err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(newer); err != nil {
		t.Fatal(err)
	}
	got := s.valid(l.take(9, time.Now()))
	want := []telemetry.Payload{&telemetry.ObjectDelta{
		Op: telemetry.OpDelete, Kind: telemetry.KindPod, Namespace: pod.Namespace, Name: pod.Name,
		UID: string(pod.UID), ResourceVersion: 42,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusalMakesASnapshotOnceTheSinkWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s, h := chain(t, toldPod(1), toldPod(2), toldPod(3))
		go s.run(t.Context())
		synctest.Wait()
		h.log = nil
		h.set(refuse)
		if err := l.Delete(toldPod(2)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := h.entries(); len(got) != 0 {
			t.Errorf("the hub got %v", got)
		}
		h.set(nil)
		pass(shipRetryMax)
		want := map[string]int{"snapshot-begin Pod": 2, "upsert Pod": 5, "delete Pod": 0, "snapshot-end Pod": 2}
		for what, n := range want {
			if h.deltas[what] != n {
				t.Errorf("%d of %s, want %d", h.deltas[what], what, n)
			}
		}
		if n := len(h.objects[telemetry.KindPod]); n != 2 || h.complaints() != nil {
			t.Errorf("the hub knows %d pods, want 2; %v", n, h.complaints())
		}
	})
}

// blockedSink holds up an Append until it is released.
type blockedSink struct{ release, entered chan struct{} }

func (b *blockedSink) Append(telemetry.Stream, time.Time, ...telemetry.Payload) error {
	b.entered <- struct{}{}
	<-b.release
	return nil
}

func TestStormWaitsInBoundedMemory(t *testing.T) {
	const objects, changes = 1_000, 20_000
	sink := &blockedSink{release: make(chan struct{}), entered: make(chan struct{})}
	s := newShipper(telemetry.StreamInventory, sink, logr.Discard())
	l := newLedger(telemetry.KindPod, convertPod, s.nudge)
	s.sources = []source{l}
	done := make(chan struct{})
	go func() { defer close(done); s.run(t.Context()) }()
	var listing []any
	for n := range objects {
		listing = append(listing, toldPod(n))
	}
	if err := l.Replace(listing, "1"); err != nil {
		t.Fatal(err)
	}
	<-sink.entered // and from here on it blocks
	before := heapInUse()
	churn := toldPod(1)
	for n := range changes {
		pod, _ := listing[n%objects].(*corev1.Pod)
		pod.Status.Phase = []corev1.PodPhase{corev1.PodRunning, corev1.PodFailed}[(n/objects)%2]
		churn.Name = fmt.Sprintf("churn-%d", n)
		for _, err := range []error{l.Update(pod), l.Add(churn), l.Delete(churn)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := len(l.queue.keys); got > 2*(objects+spareKeys) {
		t.Errorf("%d keys wait for %d objects", got, objects)
	}
	grown := heapInUse() - before
	runtime.KeepAlive(listing)
	t.Logf("%d changes of %d objects made the heap grow by %.0f KiB", 3*changes, objects, grown/1024)
	if grown > 512<<10 {
		t.Errorf("the heap grew by %.0f bytes", grown)
	}
	go func() {
		for range sink.entered {
		}
	}()
	close(sink.release)
}
