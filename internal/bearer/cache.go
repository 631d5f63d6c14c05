// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package bearer

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// key stands for a token, so that no memory holds tokens longer than needed.
type key [sha256.Size]byte

type entry[T any] struct {
	key     key
	who     T
	expires time.Time
}

// cache remembers what tokens stand for, the least recently used go first. It is a
// value of its owner, who locks it.
type cache[T any] struct {
	size    int
	order   *list.List // of *entry[T], the one used last in front
	entries map[key]*list.Element
}

func newCache[T any](size int) cache[T] {
	return cache[T]{size: size, order: list.New(), entries: map[key]*list.Element{}}
}

// get returns what a token stands for, when that is known and has not expired.
func (c *cache[T]) get(k key, now time.Time) (who T, ok bool) {
	element, ok := c.entries[k]
	if !ok {
		return who, false
	}
	e, _ := element.Value.(*entry[T])
	if !now.Before(e.expires) {
		c.remove(element)
		return who, false
	}
	c.order.MoveToFront(element)
	return e.who, true
}

func (c *cache[T]) put(k key, who T, expires time.Time) {
	c.drop(k)
	for len(c.entries) >= c.size {
		c.remove(c.order.Back())
	}
	c.entries[k] = c.order.PushFront(&entry[T]{key: k, who: who, expires: expires})
}

func (c *cache[T]) drop(k key) {
	if element, ok := c.entries[k]; ok {
		c.remove(element)
	}
}

func (c *cache[T]) remove(element *list.Element) {
	if e, ok := c.order.Remove(element).(*entry[T]); ok {
		delete(c.entries, e.key)
	}
}
