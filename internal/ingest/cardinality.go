// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package ingest

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// namesSpan is how long names are counted at least; they are forgotten after twice
// the time.
const namesSpan = 30 * time.Minute

// Names bounds how many different things a cluster may name within namesSpan, 30
// minutes. What is named beyond is quarantined, newest first, until names that are
// no longer used are forgotten.
type Names struct {
	// Objects is for objects in the inventory, and for events by object.
	Objects int
	// Nodes is for nodes with samples.
	Nodes int
	// SeriesSets is for different lists of series in samples.
	SeriesSets int
	// Routes is for routes of SLI slices.
	Routes int
	// Anomalies is for anomalies.
	Anomalies int
}

type nameKind int

const (
	nameObject nameKind = iota
	nameNode
	nameSeriesSet
	nameRoute
	nameAnomaly
	nameKinds
)

var nameTexts = [nameKinds]string{"objects", "nodes", "lists of series", "routes", "anomalies"}

func (n Names) limits() [nameKinds]int {
	return [nameKinds]int{n.Objects, n.Nodes, n.SeriesSets, n.Routes, n.Anomalies}
}

var nameSeed = maphash.MakeSeed()

// census counts the different names that a cluster uses, by their hashes. It is
// allocated as names come: a small cluster costs little.
type census struct {
	began            time.Time
	current, earlier [nameKinds]map[uint64]struct{}
}

func (c *census) roll(now time.Time) {
	switch age := now.Sub(c.began); {
	case age < namesSpan:
	case age < 2*namesSpan:
		c.began, c.earlier, c.current = now, c.current, [nameKinds]map[uint64]struct{}{}
	default:
		*c = census{began: now}
	}
}

// admit counts a name and says whether it is within the limit. A name that was
// used lately always is.
func (c *census) admit(kind nameKind, name uint64, limit int) bool {
	if _, ok := c.current[kind][name]; ok {
		return true
	}
	_, known := c.earlier[kind][name]
	if !known && max(len(c.current[kind]), len(c.earlier[kind])) >= limit {
		return false
	}
	if len(c.current[kind]) >= limit {
		return true // known, and counted among the earlier ones
	}
	if c.current[kind] == nil {
		c.current[kind] = map[uint64]struct{}{}
	}
	c.current[kind][name] = struct{}{}
	return true
}

// counting counts the names of one batch.
type counting struct {
	census *census
	limits [nameKinds]int
	// Samples of a batch share their lists of series.
	series map[*telemetry.Series]bool
}

// check returns why a record names too much, or "".
func (c *counting) check(r *telemetry.Record) (QuarantineReason, string) {
	switch p := r.Payload.(type) {
	case *telemetry.ObjectDelta:
		if p.Op == telemetry.OpUpsert {
			return c.name(nameObject, p.UID, string(p.Kind), p.Namespace, p.Name)
		}
	case *telemetry.Event:
		return c.name(nameObject, "event", p.Regarding.UID, p.Regarding.Kind, p.Regarding.Namespace, p.Regarding.Name)
	case *telemetry.NodeSample:
		if reason, why := c.name(nameNode, p.Node); reason != "" {
			return reason, why
		}
		if len(p.Series) > 0 && !c.seriesSet(p.Series) {
			return c.exceeded(nameSeriesSet)
		}
	case *telemetry.SLISlice:
		return c.name(nameRoute, p.Route.Controller, p.Route.Kind, p.Route.Namespace, p.Route.Name, p.Route.Route)
	case *telemetry.AnomalyTransition:
		return c.name(nameAnomaly, p.Rule, p.Fingerprint)
	}
	return "", ""
}

func (c *counting) name(kind nameKind, parts ...string) (QuarantineReason, string) {
	var h maphash.Hash
	h.SetSeed(nameSeed)
	for _, part := range parts {
		writePart(&h, part)
	}
	if !c.census.admit(kind, h.Sum64(), c.limits[kind]) {
		return c.exceeded(kind)
	}
	return "", ""
}

func (c *counting) seriesSet(series []telemetry.Series) bool {
	if ok, known := c.series[&series[0]]; known {
		return ok
	}
	var h maphash.Hash
	h.SetSeed(nameSeed)
	for i := range series {
		var metric [2]byte
		binary.LittleEndian.PutUint16(metric[:], uint16(series[i].Metric))
		_, _ = h.Write(metric[:]) // never fails
		writePart(&h, series[i].Label)
	}
	ok := c.census.admit(nameSeriesSet, h.Sum64(), c.limits[nameSeriesSet])
	if c.series == nil {
		c.series = map[*telemetry.Series]bool{}
	}
	c.series[&series[0]] = ok
	return ok
}

// writePart ends each part, so that "ab","c" and "a","bc" differ.
func writePart(h *maphash.Hash, part string) {
	_, _ = h.WriteString(part) // never fails
	_ = h.WriteByte(0)         // never fails; no text has a NUL
}

func (*counting) exceeded(kind nameKind) (QuarantineReason, string) {
	return QuarantineCardinality, "the cluster names more different " + nameTexts[kind] + " than it may"
}
