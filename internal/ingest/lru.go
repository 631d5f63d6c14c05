// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// tokenKey stands for a token, so that no memory holds tokens longer than needed.
type tokenKey [sha256.Size]byte

type tokenEntry struct {
	key     tokenKey
	cluster string
	expires time.Time
}

// tokenCache remembers what became of tokens, the least recently used go first. It
// is a value of its owner, who locks it.
type tokenCache struct {
	size    int
	order   *list.List // of *tokenEntry, the one used last in front
	entries map[tokenKey]*list.Element
}

func newTokenCache(size int) tokenCache {
	return tokenCache{size: size, order: list.New(), entries: map[tokenKey]*list.Element{}}
}

// get returns the cluster that a token belongs to, when that is known and has not
// expired.
func (c *tokenCache) get(key tokenKey, now time.Time) (cluster string, ok bool) {
	element, ok := c.entries[key]
	if !ok {
		return "", false
	}
	entry, _ := element.Value.(*tokenEntry)
	if !now.Before(entry.expires) {
		c.remove(element)
		return "", false
	}
	c.order.MoveToFront(element)
	return entry.cluster, true
}

func (c *tokenCache) put(key tokenKey, cluster string, expires time.Time) {
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
	for len(c.entries) >= c.size {
		c.remove(c.order.Back())
	}
	c.entries[key] = c.order.PushFront(&tokenEntry{key: key, cluster: cluster, expires: expires})
}

func (c *tokenCache) drop(key tokenKey) {
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
}

func (c *tokenCache) remove(element *list.Element) {
	if entry, ok := c.order.Remove(element).(*tokenEntry); ok {
		delete(c.entries, entry.key)
	}
}
