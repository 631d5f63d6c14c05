// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// watcher is an Observer that knows what there is.
type watcher struct {
	mu      sync.Mutex
	objects map[facts.Ref]facts.Object
	// log is what came in, in words.
	log []string
	// synced is what Synced was told, nil before.
	synced     []string
	unreadable map[string]bool
	silent     bool
}

func newWatcher() *watcher {
	return &watcher{objects: map[facts.Ref]facts.Object{}, unreadable: map[string]bool{}}
}

func (w *watcher) Observe(o facts.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects[o.About().Ref] = o
	w.log = append(w.log, fmt.Sprintf("%s %s", o.About().Name, o.About().UID))
}

func (w *watcher) Forget(ref facts.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.objects, ref)
	w.log = append(w.log, ref.Name+" gone")
}

func (w *watcher) Synced(partial []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.synced != nil {
		w.log = append(w.log, "synced twice")
	}
	w.synced = append([]string{}, partial...)
}

func (w *watcher) Readable(kind string, yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unreadable[kind] = !yes
}

func (w *watcher) Answering(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = !yes
}

// get returns an object, nil when there is none.
func (w *watcher) get(kind, namespace, name string) facts.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.objects[facts.Ref{Kind: kind, Namespace: namespace, Name: name}]
}

// told returns what came in since the last call, in words.
func (w *watcher) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.log
	w.log = nil
	return told
}

func (w *watcher) partial() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.synced)
}

func (w *watcher) isSilent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.silent
}

// blind returns the kinds that cannot be read.
func (w *watcher) blind() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(w.unreadable)) {
		if w.unreadable[kind] {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func bare(name, uid string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}}
}

// Every way in which a listing arrives tells the same, with and without a store that
// knows the names.
func TestLookoutTellsWhatIsThere(t *testing.T) {
	for name, inner := range map[string]func() *lookout{
		"for the observer alone": func() *lookout { return newLookout(facts.KindPod, newWatcher(), nil) },
		"beside counts and a ledger": func() *lookout {
			both, _, _ := newTee()
			return newLookout(facts.KindPod, newWatcher(), both)
		},
		"beside a ledger": func() *lookout {
			both, _, _ := newTee()
			return newLookout(facts.KindPod, newWatcher(), both.ledger)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := inner()
			w, ok := l.observer.(*watcher)
			if !ok {
				t.Fatal("another observer")
			}
			wants := func(told ...string) {
				t.Helper()
				got := w.told()
				slices.Sort(got)
				got = slices.Compact(got)
				if diff := cmp.Diff(told, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			}
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			transform := func(pods ...*corev1.Pod) (list []any) {
				t.Helper()
				for _, pod := range pods {
					reduced, err := l.Transformer()(pod)
					do(err)
					list = append(list, reduced)
				}
				return list
			}

			// As it is streamed, before it is stored.
			list := transform(bare("a", "1"), bare("b", "1"))
			wants("a 1", "b 1")
			do(l.Replace(list, "1"))
			wants()
			if !l.synced.Load() {
				t.Error("a complete listing does not count")
			}
			do(l.Add(bare("c", "1")))
			do(l.Update(bare("a", "1")))
			wants("a 1", "c 1")
			do(l.Delete(bare("b", "1")))
			wants("b gone")

			// A listing that breaks off, and the next one, which lacks something.
			transform(bare("d", "1"), bare("a", "2"))
			wants("a 2", "d 1")
			do(l.Replace(transform(bare("a", "2"), bare("e", "1")), "2"))
			wants("a 2", "c gone", "d gone", "e 1")

			// One that was not streamed.
			do(l.Replace([]any{bare("e", "2"), bare("f", "1")}, "3"))
			wants("a gone", "e 2", "f 1")
			do(l.Replace(nil, "4"))
			wants("e gone", "f gone")
			do(l.Resync())
			wants()
			if len(w.objects) != 0 {
				t.Errorf("left over: %v", w.objects)
			}

			for _, err := range []error{l.Add(&corev1.Node{}), l.Update("text"), l.Delete("text"), l.Replace([]any{&corev1.Node{}}, "")} {
				if err == nil {
					t.Error("something else was taken for a pod")
				}
			}
		})
	}
}

func TestLookoutForgetsNoEvents(t *testing.T) {
	w := newWatcher()
	l := newLookout(facts.KindEvent, w, newEventLog(10, func() {}))
	normal := func(reason string) *corev1.Event {
		e := warning(1, 1)
		e.Name, e.Type, e.Reason = reason, corev1.EventTypeNormal, reason
		return e
	}
	if err := errors.Join(
		l.Add(warning(1, 1)), l.Add(normal("Killing")), l.Add(normal("Sneezing")), l.Delete(warning(1, 1)), l.Replace(nil, ""), l.Replace([]any{warning(2, 1)}, ""),
	); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web-1.17 event-1", "Killing event-1", "web-2.17 event-2"}, w.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(l.known) != 0 {
		t.Errorf("%d names are kept", len(l.known))
	}
}

func TestObserverNeedsASink(t *testing.T) {
	if _, err := New(&rest.Config{}, Options{Observer: newWatcher()}); !errors.Is(err, errObserverWithoutSink) {
		t.Errorf("got %v", err)
	}
}
