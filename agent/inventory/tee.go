// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"errors"

	"k8s.io/client-go/tools/cache"
)

// tee fills the store that counts a kind and the kind's ledger from one reflector.
type tee struct {
	counts cache.TransformingStore
	ledger *ledger
}

// both is an object reduced for both.
type both struct{ counted, seen any }

var _ cache.TransformingStore = (*tee)(nil)

// Transformer makes the reflector hold reduced objects while it collects a listing.
func (t *tee) Transformer() cache.TransformFunc {
	counted, seen := t.counts.Transformer(), t.ledger.Transformer()
	return func(object any) (any, error) {
		if pair, ok := object.(*both); ok {
			return pair, nil
		}
		pair := &both{}
		var err error
		if pair.counted, err = counted(object); err != nil {
			return nil, err
		}
		if pair.seen, err = seen(object); err != nil {
			return nil, err
		}
		return pair, nil
	}
}

func halves(object any) (counted, seen any) {
	if pair, ok := object.(*both); ok {
		return pair.counted, pair.seen
	}
	return object, object
}

// Add stores a new object or a new state of a known one.
func (t *tee) Add(object any) error {
	counted, seen := halves(object)
	return errors.Join(t.counts.Add(counted), t.ledger.Add(seen))
}

// Update stores a new state of an object.
func (t *tee) Update(object any) error { return t.Add(object) }

// Delete forgets an object.
func (t *tee) Delete(object any) error {
	return errors.Join(t.counts.Delete(object), t.ledger.Delete(object))
}

// Replace makes both hold exactly the listed objects.
func (t *tee) Replace(list []any, version string) error {
	counted, seen := make([]any, len(list)), make([]any, len(list))
	for n, object := range list {
		counted[n], seen[n] = halves(object)
	}
	return errors.Join(t.counts.Replace(counted, version), t.ledger.Replace(seen, version))
}

// names implements namer.
func (t *tee) names(yield func(objectKey) bool) {
	if n, ok := t.counts.(namer); ok {
		n.names(yield)
	}
}

// Resync does nothing: nothing here depends on being told the same again.
func (*tee) Resync() error { return nil }
