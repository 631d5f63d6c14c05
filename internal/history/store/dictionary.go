// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/history/chunk"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// dictionaryMost is how many entries of one sort are remembered. When there are
// more the memory starts afresh; the database has them all.
const dictionaryMost = 50_000

// dictionary remembers the numbers of what is stored once and named often.
type dictionary struct {
	mu       sync.Mutex
	clusters map[history.ClusterUID]int64
	nodes    map[nodeKey]int64
	routes   map[routeKey]int64
	sets     map[[16]byte]setEntry
	series   map[int64][]telemetry.Series
	// latest is what each node sent last, which it mostly sends again.
	latest map[nodeKey]latestSet
}

type latestSet struct {
	series []telemetry.Series
	entry  setEntry
}

type nodeKey struct {
	cluster int64
	name    string
}

type routeKey struct {
	cluster int64
	route   telemetry.RouteKey
}

type setEntry struct{ id, day int64 }

func newDictionary() *dictionary {
	return &dictionary{
		clusters: map[history.ClusterUID]int64{}, nodes: map[nodeKey]int64{}, routes: map[routeKey]int64{},
		sets: map[[16]byte]setEntry{}, series: map[int64][]telemetry.Series{},
		latest: map[nodeKey]latestSet{},
	}
}

func recall[K comparable, V any](d *dictionary, m map[K]V, key K) (V, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := m[key]
	return v, ok
}

func remember[K comparable, V any](d *dictionary, m map[K]V, key K, v V) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(m) >= dictionaryMost {
		clear(m)
	}
	m[key] = v
}

// find looks a number up and, when it is not there, inserts it first.
func find(db *gorm.DB, query string, key []any, insert func() error) (int64, error) {
	var id int64
	err := first(db, query, key, &id)
	if !errors.Is(err, errNoRows) || insert == nil {
		return id, err
	}
	if err := insert(); err != nil {
		return 0, err
	}
	err = first(db, query, key, &id)
	return id, err
}

// clusterID returns the number of a cluster, which is new when it is unknown.
func (s *Store) clusterID(ctx context.Context, uid history.ClusterUID) (int64, error) {
	if id, ok := recall(s.dict, s.dict.clusters, uid); ok {
		return id, nil
	}
	db := s.write.WithContext(ctx)
	id, err := find(db, "SELECT id FROM clusters WHERE uid = ?", []any{string(uid)}, func() error {
		return db.Exec("INSERT INTO clusters (uid) VALUES (?)"+s.d.conflict([]string{"uid"}, nil), string(uid)).Error
	})
	if err == nil {
		remember(s.dict, s.dict.clusters, uid, id)
	}
	return id, err
}

// knownCluster returns the number of a cluster, or false when history has nothing
// of it.
func (s *Store) knownCluster(ctx context.Context, uid history.ClusterUID) (int64, bool, error) {
	if id, ok := recall(s.dict, s.dict.clusters, uid); ok {
		return id, true, nil
	}
	id, err := find(s.read.WithContext(ctx), "SELECT id FROM clusters WHERE uid = ?", []any{string(uid)}, nil)
	if errors.Is(err, errNoRows) {
		return 0, false, nil
	}
	if err == nil {
		remember(s.dict, s.dict.clusters, uid, id)
	}
	return id, err == nil, err
}

// nodeSetID returns the number of the list of series that a node sends.
func (s *Store) nodeSetID(ctx context.Context, node nodeKey, series []telemetry.Series) (int64, error) {
	today := s.now().UnixMilli() / dayMS
	known, ok := recall(s.dict, s.dict.latest, node)
	if ok && known.entry.day == today && slices.Equal(known.series, series) {
		return known.entry.id, nil
	}
	id, err := s.setID(ctx, series)
	if err != nil {
		return 0, err
	}
	// Nodes that are alike share the memory of one list.
	shared, ok := recall(s.dict, s.dict.series, id)
	if !ok {
		shared = slices.Clone(series)
		remember(s.dict, s.dict.series, id, shared)
	}
	remember(s.dict, s.dict.latest, node, latestSet{shared, setEntry{id, today}})
	return id, nil
}

// setID returns the number of a list of series and notes that it is in use today.
func (s *Store) setID(ctx context.Context, series []telemetry.Series) (int64, error) {
	packed := chunk.AppendSeries(nil, series)
	digest := digest16(packed)
	today := s.now().UnixMilli() / dayMS
	known, ok := recall(s.dict, s.dict.sets, digest)
	if ok && known.day == today {
		return known.id, nil
	}
	db := s.write.WithContext(ctx)
	// gorm would unfold bytes that follow a parenthesis, so these come later.
	err := db.Exec("INSERT INTO series_sets (used_day, digest, series) VALUES (?, ?, ?)"+s.d.conflict([]string{"digest"}, []string{"used_day"}),
		today, digest[:], packed).Error
	if err != nil {
		return 0, err
	}
	id, err := find(db, "SELECT id FROM series_sets WHERE digest = ?", []any{digest[:]}, nil)
	if err == nil {
		remember(s.dict, s.dict.sets, digest, setEntry{id, today})
	}
	return id, err
}

// seriesOf returns the list of series with a number.
func (s *Store) seriesOf(db *gorm.DB, id int64) ([]telemetry.Series, error) {
	if series, ok := recall(s.dict, s.dict.series, id); ok {
		return series, nil
	}
	var packed []byte
	if err := first(db, "SELECT series FROM series_sets WHERE id = ?", []any{id}, &packed); err != nil {
		return nil, err
	}
	series, err := chunk.ParseSeries(packed)
	if err == nil {
		remember(s.dict, s.dict.series, id, series)
	}
	return series, err
}

func (s *Store) routeID(ctx context.Context, cluster int64, r telemetry.RouteKey) (int64, error) {
	key := routeKey{cluster, r}
	if id, ok := recall(s.dict, s.dict.routes, key); ok {
		return id, nil
	}
	digest := routeDigest(r)
	db := s.write.WithContext(ctx)
	id, err := find(db, "SELECT id FROM sli_routes WHERE cluster_id = ? AND digest = ?", []any{cluster, digest[:]}, func() error {
		return db.Exec("INSERT INTO sli_routes (cluster_id, digest, controller, kind, namespace, name, route) VALUES (?, ?, ?, ?, ?, ?, ?)"+
			s.d.conflict([]string{"cluster_id", "digest"}, nil), cluster, digest[:], r.Controller, r.Kind, r.Namespace, r.Name, r.Route).Error
	})
	if err == nil {
		remember(s.dict, s.dict.routes, key, id)
	}
	return id, err
}

func routeDigest(r telemetry.RouteKey) [16]byte {
	var packed []byte
	for _, part := range []string{r.Controller, r.Kind, r.Namespace, r.Name, r.Route} {
		packed = append(append(packed, part...), 0)
	}
	return digest16(packed)
}

// digest16 is cryptographic: lists of series are shared between clusters, and none
// may be able to pass for another's.
func digest16(data []byte) [16]byte {
	sum := sha256.Sum256(data)
	return [16]byte(sum[:16])
}
