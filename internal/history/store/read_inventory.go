// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

type inventoryRow struct {
	UID, Kind, Namespace, Name, Detail string
	FirstMs, ChangedMs, GoneMs         int64
}

func (r inventoryRow) object(cluster history.ClusterUID) (history.Object, error) {
	d, err := unpackObject(r.Detail)
	if r.GoneMs > 0 {
		d.Op = telemetry.OpDelete
	}
	return history.Object{Cluster: cluster, ObjectDelta: d, FirstSeen: moment(r.FirstMs), Changed: moment(r.ChangedMs), Gone: moment(r.GoneMs)}, err
}

// A row without first_ms keeps the deletion of an object that history has not seen.
const inventoryFields = "uid, kind, namespace, name, detail, first_ms, changed_ms, gone_ms"

// Objects implements history.InventoryReader.
func (s *Store) Objects(ctx context.Context, q history.ObjectQuery) (history.Page[history.Object], error) {
	page, err := s.readObjects(ctx, q)
	return page, wrap(s.d, "reading the inventory", err)
}

func (s *Store) readObjects(ctx context.Context, q history.ObjectQuery) (page history.Page[history.Object], err error) {
	b, err := s.begin(ctx, "inventory", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	if err := checkFilters(filters{"kinds": len(q.Kinds), "namespaces": len(q.Namespaces), "phases": len(q.Phases)}); err != nil {
		return page, err
	}
	db := b.db.Select(inventoryFields)
	db = among(db, "kind", q.Kinds)
	db = among(db, "namespace", q.Namespaces)
	db = among(db, "phase", q.Phases)
	if q.Deleted {
		db = db.Where("first_ms > 0")
	} else {
		db = db.Where("gone_ms = 0")
	}
	if q.Node != "" {
		db = db.Where("node = ?", q.Node)
	}
	if q.Ready != nil {
		db = db.Where("ready = ?", int64(*q.Ready))
	}
	if q.NamePrefix != "" {
		db = db.Where("name LIKE ? ESCAPE '!'", escapeLike(q.NamePrefix)+"%")
	}
	var after inventoryRow
	if more, err := decodeCursor(q.Cursor, &after.Kind, &after.Namespace, &after.Name, &after.UID); err != nil {
		return page, err
	} else if more {
		db = db.Where("(kind, namespace, name, uid) > (?, ?, ?, ?)", after.Kind, after.Namespace, after.Name, after.UID)
	}
	var rows []inventoryRow
	if err := db.Order("kind, namespace, name, uid").Limit(b.limit + 1).Find(&rows).Error; err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r inventoryRow) string { return encodeCursor(r.Kind, r.Namespace, r.Name, r.UID) })
	for _, r := range rows {
		o, err := r.object(q.Cluster)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, o)
	}
	return page, nil
}

// escapeLike makes text match itself in a LIKE pattern with the escape sign "!".
func escapeLike(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}

// Object implements history.InventoryReader.
func (s *Store) Object(ctx context.Context, cluster history.ClusterUID, uid string) (history.Object, error) {
	o, err := s.readObject(ctx, cluster, uid)
	return o, wrap(s.d, "reading an object", err)
}

func (s *Store) readObject(ctx context.Context, cluster history.ClusterUID, uid string) (history.Object, error) {
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil {
		return history.Object{}, err
	}
	var rows []inventoryRow
	if known {
		err := s.read.WithContext(ctx).Table("inventory").Select(inventoryFields).Where("cluster_id = ? AND uid = ? AND first_ms > 0", id, uid).Limit(1).Find(&rows).Error
		if err != nil {
			return history.Object{}, err
		}
	}
	if len(rows) == 0 {
		return history.Object{}, fmt.Errorf("%w: object %q", history.ErrNotFound, telemetry.Clip(uid, telemetry.MaxUID))
	}
	return rows[0].object(cluster)
}

type changeRow struct {
	AtMs   int64
	Epoch  int64
	Seq    int64
	UID    string
	Op     uint8
	Detail string
}

// ObjectChanges implements history.InventoryReader.
func (s *Store) ObjectChanges(ctx context.Context, q history.ObjectChangeQuery) (history.Page[history.ObjectChange], error) {
	page, err := s.readChanges(ctx, q)
	return page, wrap(s.d, "reading changes of objects", err)
}

func (s *Store) readChanges(ctx context.Context, q history.ObjectChangeQuery) (page history.Page[history.ObjectChange], err error) {
	if err := q.Range.Check(); err != nil {
		return page, err
	}
	b, err := s.begin(ctx, "inventory_changes", q.Cluster, q.Paging)
	if err != nil || b.empty {
		return page, err
	}
	if err := checkFilters(filters{"kinds": len(q.Kinds), "namespaces": len(q.Namespaces)}); err != nil {
		return page, err
	}
	db := within(b.db, "at_ms", q.Range)
	db = among(among(db, "kind", q.Kinds), "namespace", q.Namespaces)
	if q.UID != "" {
		db = db.Where("uid = ?", q.UID)
	}
	var before changeRow
	if more, err := decodeCursor(q.Cursor, &before.AtMs, &before.Epoch, &before.Seq, &before.UID); err != nil {
		return page, err
	} else if more {
		// The first condition says nothing new; it tells Postgres which
		// partitions are left.
		db = db.Where("at_ms <= ? AND (at_ms, epoch, seq, uid) < (?, ?, ?, ?)", before.AtMs, before.AtMs, before.Epoch, before.Seq, before.UID)
	}
	var rows []changeRow
	err = db.Select("at_ms, epoch, seq, uid, op, detail").Order("at_ms DESC, epoch DESC, seq DESC, uid DESC").Limit(b.limit + 1).Find(&rows).Error
	if err != nil {
		return page, err
	}
	rows, page.Next = cut(rows, b.limit, func(r changeRow) string { return encodeCursor(r.AtMs, r.Epoch, r.Seq, r.UID) })
	for _, r := range rows {
		d, err := unpackObject(r.Detail)
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, history.ObjectChange{
			Cluster: q.Cluster, At: moment(r.AtMs), Epoch: telemetry.Epoch(r.Epoch), Seq: uint64(r.Seq), ObjectDelta: d, //nolint:gosec // were such
		})
	}
	return page, nil
}

// bounded is the beginning of a query.
type bounded struct {
	db    *gorm.DB
	limit int
	// empty is true when the cluster is unknown, and with it everything.
	empty bool
}

// begin begins a query for one page of one cluster.
func (s *Store) begin(ctx context.Context, table string, cluster history.ClusterUID, paging history.Paging) (bounded, error) {
	limit, err := paging.Size()
	if err != nil {
		return bounded{}, err
	}
	if cluster == "" {
		return bounded{}, fmt.Errorf("%w: the cluster is required", history.ErrInvalidQuery)
	}
	id, known, err := s.knownCluster(ctx, cluster)
	if err != nil || !known {
		return bounded{empty: true}, err
	}
	return bounded{db: s.read.WithContext(ctx).Table(table).Where("cluster_id = ?", id), limit: limit}, nil
}

// filters are how many values each filter lists.
type filters map[string]int

func checkFilters(f filters) error {
	for name, n := range f {
		if n > history.MaxFilter {
			return fmt.Errorf("%w: %d %s, at most %d can be asked for at once", history.ErrInvalidQuery, n, name, history.MaxFilter)
		}
	}
	return nil
}

// among keeps the rows of which a column has one of the values, if there are any.
func among[T ~string](db *gorm.DB, column string, values []T) *gorm.DB {
	if len(values) == 0 {
		return db
	}
	plain := make([]string, len(values))
	for i, v := range values {
		plain[i] = string(v)
	}
	return db.Where(column+" IN ?", plain)
}

func within(db *gorm.DB, column string, r history.Range) *gorm.DB {
	return db.Where(column+" >= ? AND "+column+" < ?", ceilMillis(r.Start), ceilMillis(r.End))
}
