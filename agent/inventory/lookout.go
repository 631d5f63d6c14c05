// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"iter"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

// lookout is what a reflector fills of a kind that an Observer wants. It hands over
// each object as soon as it is seen, also while a listing is still under way, and
// keeps nothing of it but the name, to tell what a later listing lacks.
type lookout struct {
	kind     string
	observer Observer
	// inner is the store that is filled as well; nil for kinds that are watched for
	// the Observer alone.
	inner cache.TransformingStore
	// listed is called after each complete listing. It may be nil.
	listed func()
	// synced is set by the first complete listing.
	synced atomic.Bool
	// known are the names of those that were handed over and that names does not
	// have. Only the reflector's goroutine uses it. It stays empty for events, of
	// which none is forgotten.
	known map[objectKey]struct{}
	// names yields what the inner store holds; nil when it does not hold all that
	// was handed over.
	names iter.Seq[objectKey]
}

// namer is a store that holds every object that was added.
type namer interface {
	// names yields the names of the objects.
	names(yield func(objectKey) bool)
}

// sighted is an object that was handed over, reduced for the inner store.
type sighted struct {
	key     objectKey
	reduced any
}

var _ cache.TransformingStore = (*lookout)(nil)

func newLookout(kind string, observer Observer, inner cache.TransformingStore) *lookout {
	l := &lookout{kind: kind, observer: observer, inner: inner, known: map[objectKey]struct{}{}}
	if n, ok := inner.(namer); ok {
		l.names = n.names
	}
	return l
}

// fact makes what rules look at of an object.
func (l *lookout) fact(object any) (facts.Object, bool) {
	switch o := object.(type) {
	case *httpRoute:
		return o.fact()
	case *conditioned:
		o.Kind = l.kind // decoders leave it empty
		return observe.Object(&o.Conditioned)
	default:
		return observe.Object(object)
	}
}

// see hands an object over. Stored says that the inner store gets it as well.
func (l *lookout) see(object any, stored bool) (objectKey, error) {
	key, named := keyOf(object)
	fact, ok := l.fact(object)
	if !named || !ok || fact.About().Kind != l.kind {
		return key, fmt.Errorf("observing a %s of unexpected type %T", l.kind, object)
	}
	if event, ok := fact.(*facts.Event); ok && !event.Warning && !wantedEvents[event.Reason] {
		return key, nil
	}
	if l.kind != facts.KindEvent && (l.names == nil || !stored) {
		l.known[key] = struct{}{}
	}
	l.observer.Observe(fact)
	return key, nil
}

// Transformer makes the reflector hold reduced objects while it collects a listing.
func (l *lookout) Transformer() cache.TransformFunc {
	reduce := func(any) (any, error) { return nil, nil } //nolint:nilnil // nothing is kept
	if l.inner != nil {
		reduce = l.inner.Transformer()
	}
	return func(object any) (any, error) {
		if seen, ok := object.(*sighted); ok {
			return seen, nil
		}
		// A listing may break off before it is stored.
		key, err := l.see(object, false)
		if err != nil {
			return nil, err
		}
		reduced, err := reduce(object)
		if err != nil {
			return nil, err
		}
		return &sighted{key: key, reduced: reduced}, nil
	}
}

// Add stores a new object or a new state of a known one.
func (l *lookout) Add(object any) error {
	if _, err := l.see(object, true); err != nil {
		return err
	}
	if l.inner == nil {
		return nil
	}
	return l.inner.Add(object)
}

// Update stores a new state of an object.
func (l *lookout) Update(object any) error { return l.Add(object) }

// Delete forgets an object.
func (l *lookout) Delete(object any) error {
	key, ok := keyOf(object)
	if !ok {
		return fmt.Errorf("forgetting a %s of unexpected type %T", l.kind, object)
	}
	if _, known := l.known[key]; known || l.names != nil {
		delete(l.known, key)
		l.forget(key)
	}
	if l.inner == nil {
		return nil
	}
	return l.inner.Delete(object)
}

func (l *lookout) forget(key objectKey) {
	l.observer.Forget(facts.Ref{Kind: l.kind, Namespace: key.namespace.Value(), Name: key.name})
}

// Replace takes a complete listing. What it lacks is gone.
func (l *lookout) Replace(list []any, version string) error {
	transform := l.Transformer()
	listed := make(map[objectKey]struct{}, len(list))
	reduced := make([]any, 0, len(list))
	for _, object := range list {
		// A listing that was not streamed has not been transformed.
		transformed, err := transform(object)
		if err != nil {
			return err
		}
		if seen, ok := transformed.(*sighted); ok {
			listed[seen.key] = struct{}{}
			reduced = append(reduced, seen.reduced)
		}
	}
	l.forgetBut(listed)
	l.synced.Store(true)
	if l.inner != nil {
		if err := l.inner.Replace(reduced, version); err != nil {
			return err
		}
	}
	if l.listed != nil {
		l.listed()
	}
	return nil
}

// forgetBut forgets all that was handed over and is not listed.
func (l *lookout) forgetBut(listed map[objectKey]struct{}) {
	missing := func(key objectKey) bool {
		if _, there := listed[key]; !there {
			l.forget(key)
		}
		return true
	}
	switch {
	case l.kind == facts.KindEvent:
	case l.names != nil:
		l.names(missing)
		for key := range l.known {
			missing(key)
		}
		l.known = map[objectKey]struct{}{}
	default:
		for key := range l.known {
			missing(key)
		}
		l.known = listed
	}
}

// Resync does nothing: nothing here depends on being told the same again.
func (*lookout) Resync() error { return nil }
