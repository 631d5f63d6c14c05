// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// digester computes what a record's content adds up to, however it was batched
// and encoded. It tells a repetition from a contradiction; it is no defence.
type digester struct {
	buf []byte
	// Lists of series are shared by the samples of a batch.
	series map[*telemetry.Series]uint64
}

// sum returns the content of a record, never 0. That of a gap is 0: gaps stand in
// for what was dropped, so they contradict nothing.
func (d *digester) sum(r *telemetry.Record) uint32 {
	d.buf = d.buf[:0]
	d.time(r.Time)
	switch p := r.Payload.(type) {
	case *telemetry.ObjectDelta:
		d.object(p)
	case *telemetry.AnomalyTransition:
		d.anomaly(p)
	case *telemetry.Event:
		d.event(p)
	case *telemetry.NodeSample:
		d.sample(p)
	case *telemetry.SLISlice:
		d.slice(p)
	case *telemetry.CommandOutput:
		d.output(p)
	default:
		return 0
	}
	h := xxhash.Sum64(d.buf)
	return max(1, uint32(h^h>>32)) //nolint:gosec // folded
}

func (d *digester) int(v int64)   { d.buf = binary.AppendVarint(d.buf, v) }
func (d *digester) uint(v uint64) { d.buf = binary.AppendUvarint(d.buf, v) }

func (d *digester) float(v float64) {
	d.buf = binary.LittleEndian.AppendUint64(d.buf, math.Float64bits(v))
}

func (d *digester) time(t time.Time) { d.int(millis(t)) }

func (d *digester) text(values ...string) {
	for _, v := range values {
		d.uint(uint64(len(v)))
		d.buf = append(d.buf, v...)
	}
}

func (d *digester) ref(r telemetry.ObjectRef) { d.text(r.Kind, r.Namespace, r.Name, r.UID) }

func (d *digester) labels(labels []telemetry.Label) {
	d.uint(uint64(len(labels)))
	for _, l := range labels {
		d.text(l.Key, l.Value)
	}
}

func (d *digester) object(o *telemetry.ObjectDelta) {
	d.uint(uint64(o.Op))
	d.uint(o.ResourceVersion)
	d.objectState(o)
}

// objectState is what an object looks like, without how it came to be known.
func (d *digester) objectState(o *telemetry.ObjectDelta) {
	d.text(string(o.Kind), o.Namespace, o.Name, o.UID, o.Node, o.Phase, o.Reason, o.Message)
	d.int(o.Generation)
	d.int(o.ObservedGeneration)
	d.ref(o.Owner)
	d.uint(uint64(o.Ready))
	r := o.Replicas
	for _, n := range []int32{o.Restarts, r.Desired, r.Current, r.Updated, r.Ready, r.Available, r.Failed} {
		d.int(int64(n))
	}
	d.time(o.Created)
	d.time(o.Deleted)
	d.labels(o.Labels)
	d.uint(uint64(len(o.Numbers)))
	for _, n := range o.Numbers {
		d.uint(uint64(n.ID))
		d.int(n.Value)
	}
	d.labels(o.Attributes)
}

func (d *digester) anomaly(a *telemetry.AnomalyTransition) {
	d.text(a.Rule, a.Fingerprint, a.TemplateHash, a.Container, a.Node, a.Reason, a.Message)
	d.uint(uint64(a.State))
	d.uint(uint64(a.Severity))
	d.ref(a.Object)
	d.ref(a.Owner)
	d.uint(uint64(a.Count))
	d.time(a.Since)
	d.labels(a.Evidence)
}

func (d *digester) event(e *telemetry.Event) {
	d.text(e.UID, e.Namespace, e.Name, e.Reason, e.Message, e.FieldPath, e.Controller, e.Host)
	d.uint(e.ResourceVersion)
	d.uint(uint64(e.Type))
	d.ref(e.Regarding)
	d.uint(uint64(e.Count))
	d.time(e.FirstSeen)
	d.time(e.LastSeen)
}

func (d *digester) sample(s *telemetry.NodeSample) {
	d.text(s.Node, s.BootID)
	d.uint(s.CollectorSeq)
	d.int(s.Interval.Milliseconds())
	d.uint(uint64(s.Scope))
	d.uint(d.seriesSum(s.Series))
	for _, v := range s.Values {
		d.float(v)
	}
}

func (d *digester) seriesSum(series []telemetry.Series) uint64 {
	if len(series) == 0 {
		return 0
	}
	if h, ok := d.series[&series[0]]; ok {
		return h
	}
	inner := digester{}
	for _, s := range series {
		inner.uint(uint64(s.Metric))
		inner.text(s.Label)
	}
	h := xxhash.Sum64(inner.buf)
	if d.series == nil {
		d.series = map[*telemetry.Series]uint64{}
	}
	d.series[&series[0]] = h
	return h
}

func (d *digester) slice(s *telemetry.SLISlice) {
	d.text(s.Route.Controller, s.Route.Kind, s.Route.Namespace, s.Route.Name, s.Route.Route)
	d.time(s.Start)
	for _, v := range []float64{s.Total, s.Bad, s.SumSeconds} {
		d.float(v)
	}
	for _, v := range s.Classes {
		d.float(v)
	}
	for _, list := range [][]float64{s.Latency.Bounds, s.Latency.Counts} {
		d.uint(uint64(len(list)))
		for _, v := range list {
			d.float(v)
		}
	}
	d.uint(uint64(s.ExpectedScrapes))
	d.uint(uint64(s.GoodScrapes))
}

func (d *digester) output(o *telemetry.CommandOutput) {
	d.text(o.CommandUID, o.ExecutionID, string(o.Data))
	d.uint(uint64(o.Index))
	d.uint(uint64(o.Source))
	for _, b := range []bool{o.Last, o.Truncated} {
		if b {
			d.buf = append(d.buf, 1)
		} else {
			d.buf = append(d.buf, 0)
		}
	}
}

// millis returns Unix milliseconds, and 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is the inverse of millis.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
