// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package wire

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// The messages of wire.proto, field by field.

var objectRefSchema = schema[telemetry.ObjectRef]{
	1: word(func(r *telemetry.ObjectRef) *string { return &r.Kind }),
	2: word(func(r *telemetry.ObjectRef) *string { return &r.Namespace }),
	3: text(func(r *telemetry.ObjectRef) *string { return &r.Name }),
	4: uuid(func(r *telemetry.ObjectRef) *string { return &r.UID }),
	5: rawUID(func(r *telemetry.ObjectRef) *string { return &r.UID }),
}

var replicasSchema = schema[telemetry.Replicas]{
	1: natural(func(r *telemetry.Replicas) *int32 { return &r.Desired }),
	2: natural(func(r *telemetry.Replicas) *int32 { return &r.Current }),
	3: natural(func(r *telemetry.Replicas) *int32 { return &r.Updated }),
	4: natural(func(r *telemetry.Replicas) *int32 { return &r.Ready }),
	5: natural(func(r *telemetry.Replicas) *int32 { return &r.Available }),
	6: natural(func(r *telemetry.Replicas) *int32 { return &r.Failed }),
}

var objectSchema = schema[telemetry.ObjectDelta]{
	1:  number(func(o *telemetry.ObjectDelta) *telemetry.DeltaOp { return &o.Op }),
	2:  word(func(o *telemetry.ObjectDelta) *string { return (*string)(&o.Kind) }),
	3:  word(func(o *telemetry.ObjectDelta) *string { return &o.Namespace }),
	4:  text(func(o *telemetry.ObjectDelta) *string { return &o.Name }),
	5:  uuid(func(o *telemetry.ObjectDelta) *string { return &o.UID }),
	6:  rawUID(func(o *telemetry.ObjectDelta) *string { return &o.UID }),
	7:  number(func(o *telemetry.ObjectDelta) *uint64 { return &o.ResourceVersion }),
	8:  natural(func(o *telemetry.ObjectDelta) *int64 { return &o.Generation }),
	9:  natural(func(o *telemetry.ObjectDelta) *int64 { return &o.ObservedGeneration }),
	10: message(objectRefSchema, func(o *telemetry.ObjectDelta) *telemetry.ObjectRef { return &o.Owner }),
	11: word(func(o *telemetry.ObjectDelta) *string { return &o.Node }),
	12: word(func(o *telemetry.ObjectDelta) *string { return &o.Phase }),
	13: word(func(o *telemetry.ObjectDelta) *string { return &o.Reason }),
	14: text(func(o *telemetry.ObjectDelta) *string { return &o.Message }),
	15: number(func(o *telemetry.ObjectDelta) *telemetry.Readiness { return &o.Ready }),
	16: natural(func(o *telemetry.ObjectDelta) *int32 { return &o.Restarts }),
	17: message(replicasSchema, func(o *telemetry.ObjectDelta) *telemetry.Replicas { return &o.Replicas }),
	18: moment(func(o *telemetry.ObjectDelta) *time.Time { return &o.Created }),
	19: moment(func(o *telemetry.ObjectDelta) *time.Time { return &o.Deleted }),
	20: labelSet(func(o *telemetry.ObjectDelta) *[]telemetry.Label { return &o.Labels }),
	21: {put: putNumbers, get: getNumbers},
	22: attributes(func(o *telemetry.ObjectDelta) *[]telemetry.Label { return &o.Attributes }),
}

func putNumbers(_ *encoding, b []byte, num protowire.Number, o *telemetry.ObjectDelta) []byte {
	if len(o.Numbers) == 0 {
		return b
	}
	b, mark := open(b, num)
	for _, n := range o.Numbers {
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(int64(n.ID)))
		b = protowire.AppendVarint(b, protowire.EncodeZigZag(n.Value))
	}
	return finish(b, mark)
}

func getNumbers(d *decoding, in *input, o *telemetry.ObjectDelta) {
	count := in.count()
	if count%2 != 0 {
		in.fail("a number has no value")
		return
	}
	if !d.spend(in, count/2) {
		return
	}
	var n telemetry.Number
	isID := false
	o.Numbers = slices.Grow(o.Numbers, count/2)
	in.packed(func(u uint64) error {
		value := protowire.DecodeZigZag(u)
		if isID = !isID; isID {
			if value < 0 || value > int64(^telemetry.NumberID(0)) {
				return malformed("a number has the ID %d", value)
			}
			n.ID = telemetry.NumberID(value)
			return nil
		}
		n.Value = value
		o.Numbers = append(o.Numbers, n)
		return nil
	})
}

var eventSchema = schema[telemetry.Event]{
	1:  uuid(func(v *telemetry.Event) *string { return &v.UID }),
	2:  rawUID(func(v *telemetry.Event) *string { return &v.UID }),
	3:  number(func(v *telemetry.Event) *uint64 { return &v.ResourceVersion }),
	4:  word(func(v *telemetry.Event) *string { return &v.Namespace }),
	5:  text(func(v *telemetry.Event) *string { return &v.Name }),
	6:  number(func(v *telemetry.Event) *telemetry.EventType { return &v.Type }),
	7:  word(func(v *telemetry.Event) *string { return &v.Reason }),
	8:  text(func(v *telemetry.Event) *string { return &v.Message }),
	9:  message(objectRefSchema, func(v *telemetry.Event) *telemetry.ObjectRef { return &v.Regarding }),
	10: word(func(v *telemetry.Event) *string { return &v.FieldPath }),
	11: word(func(v *telemetry.Event) *string { return &v.Controller }),
	12: word(func(v *telemetry.Event) *string { return &v.Host }),
	13: number(func(v *telemetry.Event) *uint32 { return &v.Count }),
	14: moment(func(v *telemetry.Event) *time.Time { return &v.FirstSeen }),
	15: moment(func(v *telemetry.Event) *time.Time { return &v.LastSeen }),
}

var anomalySchema = schema[telemetry.AnomalyTransition]{
	1:  word(func(v *telemetry.AnomalyTransition) *string { return &v.Rule }),
	2:  text(func(v *telemetry.AnomalyTransition) *string { return &v.Fingerprint }),
	3:  number(func(v *telemetry.AnomalyTransition) *telemetry.AnomalyState { return &v.State }),
	4:  number(func(v *telemetry.AnomalyTransition) *telemetry.Severity { return &v.Severity }),
	5:  message(objectRefSchema, func(v *telemetry.AnomalyTransition) *telemetry.ObjectRef { return &v.Object }),
	6:  message(objectRefSchema, func(v *telemetry.AnomalyTransition) *telemetry.ObjectRef { return &v.Owner }),
	7:  word(func(v *telemetry.AnomalyTransition) *string { return &v.TemplateHash }),
	8:  word(func(v *telemetry.AnomalyTransition) *string { return &v.Container }),
	9:  word(func(v *telemetry.AnomalyTransition) *string { return &v.Node }),
	10: word(func(v *telemetry.AnomalyTransition) *string { return &v.Reason }),
	11: text(func(v *telemetry.AnomalyTransition) *string { return &v.Message }),
	12: number(func(v *telemetry.AnomalyTransition) *uint32 { return &v.Count }),
	13: moment(func(v *telemetry.AnomalyTransition) *time.Time { return &v.Since }),
	14: {put: putEvidence, get: getEvidence},
}

var evidenceSchema = schema[telemetry.Label]{
	1: word(func(l *telemetry.Label) *string { return &l.Key }),
	2: text(func(l *telemetry.Label) *string { return &l.Value }),
}

func putEvidence(e *encoding, b []byte, num protowire.Number, v *telemetry.AnomalyTransition) []byte {
	for i := range v.Evidence {
		var mark int
		b, mark = open(b, num)
		b = finish(evidenceSchema.append(e, b, &v.Evidence[i]), mark)
	}
	return b
}

func getEvidence(d *decoding, in *input, v *telemetry.AnomalyTransition) {
	if len(v.Evidence) >= telemetry.MaxAttributes {
		in.fail("more than %d pieces of evidence", telemetry.MaxAttributes)
		return
	}
	if !d.spend(in, 1) {
		return
	}
	var piece telemetry.Label
	in.check(evidenceSchema.parse(d, in.bytes(), &piece))
	v.Evidence = append(v.Evidence, piece)
}

var outputSchema = schema[telemetry.CommandOutput]{
	1: word(func(v *telemetry.CommandOutput) *string { return &v.CommandUID }),
	2: word(func(v *telemetry.CommandOutput) *string { return &v.ExecutionID }),
	3: number(func(v *telemetry.CommandOutput) *uint32 { return &v.Index }),
	4: number(func(v *telemetry.CommandOutput) *telemetry.OutputSource { return &v.Source }),
	5: boolean(func(v *telemetry.CommandOutput) *bool { return &v.Last }),
	6: boolean(func(v *telemetry.CommandOutput) *bool { return &v.Truncated }),
	7: {
		put: func(_ *encoding, b []byte, num protowire.Number, v *telemetry.CommandOutput) []byte {
			return appendText(b, num, v.Data)
		},
		get: func(_ *decoding, in *input, v *telemetry.CommandOutput) { v.Data = []byte(in.bytes()) },
	},
}

var gapSchema = schema[telemetry.Gap]{
	1: number(func(g *telemetry.Gap) *telemetry.GapReason { return &g.Reason }),
	2: number(func(g *telemetry.Gap) *uint64 { return &g.Dropped }),
	3: moment(func(g *telemetry.Gap) *time.Time { return &g.Start }),
	4: moment(func(g *telemetry.Gap) *time.Time { return &g.End }),
}
