// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"cmp"
	"database/sql"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var eventColumns = []string{
	"cluster_id", "uid", "rv", "last_ms", "first_ms", "occurrences", "type", "namespace", "name", "reason", "message",
	"about_kind", "about_namespace", "about_name", "about_uid", "field_path", "controller", "host",
}

// eventAge orders the states of one event: by resource version, and where that is
// unknown by count and time.
type eventAge struct{ rv, count, last int64 }

func ageOf(e *telemetry.Event) eventAge {
	return eventAge{rv: int64(e.ResourceVersion), count: int64(e.Count), last: millis(e.LastSeen)} //nolint:gosec // compared only
}

func (a eventAge) newer(b eventAge) bool {
	return cmp.Or(cmp.Compare(a.rv, b.rv), cmp.Compare(a.count, b.count), cmp.Compare(a.last, b.last)) > 0
}

func (a *appending) storeEvents(records []*telemetry.Record) error {
	best := map[string]*telemetry.Event{}
	var order []string
	for _, r := range records {
		e, ok := r.Payload.(*telemetry.Event)
		if !ok {
			continue
		}
		known := best[e.UID]
		if known == nil {
			order = append(order, e.UID)
		}
		if known == nil || ageOf(e).newer(ageOf(known)) {
			best[e.UID] = e
		}
	}
	stored := make(map[string]eventAge)
	err := a.t.d.byUID(a.t, "events", "uid, rv, occurrences, last_ms", a.cluster, order, func(r *sql.Rows) error {
		var uid string
		var age eventAge
		if err := r.Scan(&uid, &age.rv, &age.count, &age.last); err != nil {
			return err
		}
		stored[uid] = age
		return nil
	})
	if err != nil {
		return err
	}
	var fresh, changed [][]any
	for _, uid := range order {
		e := best[uid]
		age, known := stored[uid]
		switch {
		case !known:
			fresh = append(fresh, a.eventRow(e))
		case ageOf(e).newer(age):
			changed = append(changed, a.eventRow(e))
		}
	}
	if err := a.t.d.insert(a.t, "events", eventColumns, fresh); err != nil {
		return err
	}
	return a.t.upsert("events", eventColumns, eventColumns[:2], eventColumns[2:], changed)
}

func (a *appending) eventRow(e *telemetry.Event) []any {
	return []any{
		a.cluster, e.UID, int64(e.ResourceVersion), millis(e.LastSeen), millis(e.FirstSeen), int64(e.Count), int64(e.Type), //nolint:gosec // a bit pattern
		e.Namespace, e.Name, e.Reason, e.Message, e.Regarding.Kind, e.Regarding.Namespace, e.Regarding.Name, e.Regarding.UID,
		e.FieldPath, e.Controller, e.Host,
	}
}
