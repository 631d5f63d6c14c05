// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"fmt"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// slimObject is an object in its reduced form, with its name.
type slimObject[S comparable] struct {
	key  objectKey
	slim S
}

// store is what a reflector of one kind fills. It keeps the slim form of every
// object and a tally of them. An event costs the difference it makes; only
// Replace, after a new listing, passes over all objects.
type store[S, T comparable] struct {
	// reduce makes the slim form of an object of the API; false when the object
	// is of another kind.
	reduce func(object any) (slimObject[S], bool)
	// count lets an object enter (sign +1) or leave (sign -1) a tally.
	count func(tally *T, slim S, sign int32)
	// listed is called, with mu held, after each complete listing; it says
	// whether that changed anything besides the tally.
	listed func() bool
	// changed is called, without mu, after what a Snapshot shows has changed.
	changed func()

	// mu is the Inventory's, shared by all stores, so that a Snapshot is of one
	// moment.
	mu      *sync.Mutex
	objects map[objectKey]S
	tally   T
	synced  bool
}

var _ cache.TransformingStore = (*store[slimPod, podTally])(nil)

// reducer adapts the pure reduction of one type to what a store needs.
func reducer[O any, S comparable](reduce func(*O) S) func(any) (slimObject[S], bool) {
	return func(object any) (slimObject[S], bool) {
		o, isKind := object.(*O)
		key, hasName := keyOf(object)
		if !isKind || !hasName {
			return slimObject[S]{}, false
		}
		return slimObject[S]{key: key, slim: reduce(o)}, true
	}
}

// slimOf accepts objects of the API and those already reduced: the reflector
// reduces while it streams the first listing, but not when it falls back to a
// plain list.
func (s *store[S, T]) slimOf(object any) (slimObject[S], error) {
	if slim, ok := object.(slimObject[S]); ok {
		return slim, nil
	}
	slim, ok := s.reduce(object)
	if !ok {
		return slim, fmt.Errorf("storing an object of unexpected type %T", object)
	}
	return slim, nil
}

// Transformer makes the reflector hold slim objects while it collects a listing.
func (s *store[S, T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		slim, err := s.slimOf(object)
		if err != nil {
			return nil, err
		}
		return slim, nil
	}
}

// Add stores a new object or a new state of a known one.
func (s *store[S, T]) Add(object any) error {
	present, err := s.slimOf(object)
	if err != nil {
		return err
	}
	s.apply(present.key, &present.slim)
	return nil
}

// Update stores a new state of an object.
func (s *store[S, T]) Update(object any) error { return s.Add(object) }

// Delete forgets an object.
func (s *store[S, T]) Delete(object any) error {
	key, ok := keyOf(object)
	if !ok {
		return fmt.Errorf("forgetting an object of unexpected type %T", object)
	}
	s.apply(key, nil)
	return nil
}

// Resync does nothing: nothing here depends on being told the same again.
func (*store[S, T]) Resync() error { return nil }

// names implements namer.
func (s *store[S, T]) names(yield func(objectKey) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects {
		if !yield(key) {
			return
		}
	}
}

// apply sets the state of one object, nil for gone.
func (s *store[S, T]) apply(key objectKey, slim *S) {
	s.mu.Lock()
	before := s.tally
	old, known := s.objects[key]
	switch {
	case slim == nil && known:
		s.count(&s.tally, old, -1)
		delete(s.objects, key)
	case slim != nil && !known:
		s.count(&s.tally, *slim, +1)
		s.objects[key] = *slim
	case slim != nil && old != *slim:
		s.count(&s.tally, old, -1)
		s.count(&s.tally, *slim, +1)
		s.objects[key] = *slim
	}
	changed := s.tally != before && s.synced
	s.mu.Unlock()
	if changed {
		s.changed()
	}
}

// Replace makes the store hold exactly the listed objects. What vanished while
// nobody watched leaves the tally.
func (s *store[S, T]) Replace(list []any, _ string) error {
	next := make(map[objectKey]S, len(list))
	for _, object := range list {
		slim, err := s.slimOf(object)
		if err != nil {
			return err
		}
		next[slim.key] = slim.slim
	}

	s.mu.Lock()
	before := s.tally
	for key, slim := range next {
		old, known := s.objects[key]
		if known && old == slim {
			continue
		}
		if known {
			s.count(&s.tally, old, -1)
		}
		s.count(&s.tally, slim, +1)
	}
	for key, old := range s.objects {
		if _, stays := next[key]; !stays {
			s.count(&s.tally, old, -1)
		}
	}
	s.objects = next
	first := !s.synced
	s.synced = true
	changed := s.listed()
	changed = changed || first || s.tally != before
	s.mu.Unlock()
	if changed {
		s.changed()
	}
	return nil
}
