// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package store

import (
	"encoding/json"
	"fmt"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// What is shown and never searched is kept as JSON with short names, in one
// column: objectDetail and anomalyDetail.

type refDetail struct {
	Kind      string `json:"k,omitempty"`
	Namespace string `json:"s,omitempty"`
	Name      string `json:"n,omitempty"`
	UID       string `json:"u,omitempty"`
}

func packRef(r telemetry.ObjectRef) *refDetail {
	if r.IsZero() {
		return nil
	}
	return new(refDetail(r))
}

func (r *refDetail) ref() telemetry.ObjectRef {
	if r == nil {
		return telemetry.ObjectRef{}
	}
	return telemetry.ObjectRef(*r)
}

type objectDetail struct {
	Op         uint8            `json:"o"`
	Kind       string           `json:"k"`
	Namespace  string           `json:"s,omitempty"`
	Name       string           `json:"n,omitempty"`
	UID        string           `json:"u,omitempty"`
	RV         uint64           `json:"rv,omitempty"`
	Generation int64            `json:"g,omitempty"`
	Observed   int64            `json:"og,omitempty"`
	Owner      *refDetail       `json:"ow,omitempty"`
	Node       string           `json:"no,omitempty"`
	Phase      string           `json:"p,omitempty"`
	Reason     string           `json:"r,omitempty"`
	Message    string           `json:"m,omitempty"`
	Ready      uint8            `json:"rd,omitempty"`
	Restarts   int32            `json:"rs,omitempty"`
	Replicas   []int32          `json:"rp,omitempty"`
	Created    int64            `json:"c,omitempty"`
	Deleted    int64            `json:"d,omitempty"`
	Labels     [][2]string      `json:"l,omitempty"`
	Numbers    [][2]json.Number `json:"nu,omitempty"`
	Attributes [][2]string      `json:"a,omitempty"`
}

func packObject(d *telemetry.ObjectDelta) string {
	o := objectDetail{
		Op: uint8(d.Op), Kind: string(d.Kind), Namespace: d.Namespace, Name: d.Name, UID: d.UID, RV: d.ResourceVersion,
		Generation: d.Generation, Observed: d.ObservedGeneration, Owner: packRef(d.Owner), Node: d.Node, Phase: d.Phase,
		Reason: d.Reason, Message: d.Message, Ready: uint8(d.Ready), Restarts: d.Restarts, Created: millis(d.Created),
		Deleted: millis(d.Deleted), Labels: packLabels(d.Labels), Attributes: packLabels(d.Attributes),
	}
	if r := d.Replicas; r != (telemetry.Replicas{}) {
		o.Replicas = []int32{r.Desired, r.Current, r.Updated, r.Ready, r.Available, r.Failed}
	}
	for _, n := range d.Numbers {
		o.Numbers = append(o.Numbers, [2]json.Number{json.Number(fmt.Sprint(uint16(n.ID))), json.Number(fmt.Sprint(n.Value))})
	}
	return packJSON(o)
}

func unpackObject(text string) (telemetry.ObjectDelta, error) {
	var o objectDetail
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return telemetry.ObjectDelta{}, fmt.Errorf("reading a stored object: %w", err)
	}
	d := telemetry.ObjectDelta{
		Op: telemetry.DeltaOp(o.Op), Kind: telemetry.Kind(o.Kind), Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.RV,
		Generation: o.Generation, ObservedGeneration: o.Observed, Owner: o.Owner.ref(), Node: o.Node, Phase: o.Phase,
		Reason: o.Reason, Message: o.Message, Ready: telemetry.Readiness(o.Ready), Restarts: o.Restarts, Created: moment(o.Created),
		Deleted: moment(o.Deleted), Labels: unpackLabels(o.Labels), Attributes: unpackLabels(o.Attributes),
	}
	if r := o.Replicas; len(r) == 6 {
		d.Replicas = telemetry.Replicas{Desired: r[0], Current: r[1], Updated: r[2], Ready: r[3], Available: r[4], Failed: r[5]}
	}
	for _, n := range o.Numbers {
		id, err := n[0].Int64()
		if err != nil {
			return d, fmt.Errorf("reading a stored object: %w", err)
		}
		value, err := n[1].Int64()
		if err != nil {
			return d, fmt.Errorf("reading a stored object: %w", err)
		}
		d.Numbers = append(d.Numbers, telemetry.Number{ID: telemetry.NumberID(id), Value: value}) //nolint:gosec // was one
	}
	return d, nil
}

type anomalyDetail struct {
	Fingerprint  string      `json:"f"`
	State        uint8       `json:"st"`
	Object       *refDetail  `json:"o,omitempty"`
	Owner        *refDetail  `json:"ow,omitempty"`
	TemplateHash string      `json:"t,omitempty"`
	Container    string      `json:"c,omitempty"`
	Node         string      `json:"no,omitempty"`
	Reason       string      `json:"r,omitempty"`
	Message      string      `json:"m,omitempty"`
	Count        uint32      `json:"n,omitempty"`
	Since        int64       `json:"s,omitempty"`
	Evidence     [][2]string `json:"e,omitempty"`
}

func packAnomaly(a *telemetry.AnomalyTransition) string {
	return packJSON(anomalyDetail{
		Fingerprint: a.Fingerprint, State: uint8(a.State), Object: packRef(a.Object), Owner: packRef(a.Owner), TemplateHash: a.TemplateHash,
		Container: a.Container, Node: a.Node, Reason: a.Reason, Message: a.Message, Count: a.Count, Since: millis(a.Since),
		Evidence: packLabels(a.Evidence),
	})
}

func unpackAnomaly(text, rule string, severity uint8) (telemetry.AnomalyTransition, error) {
	var d anomalyDetail
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return telemetry.AnomalyTransition{}, fmt.Errorf("reading a stored anomaly: %w", err)
	}
	return telemetry.AnomalyTransition{
		Rule: rule, Severity: telemetry.Severity(severity), Fingerprint: d.Fingerprint, State: telemetry.AnomalyState(d.State),
		Object: d.Object.ref(), Owner: d.Owner.ref(), TemplateHash: d.TemplateHash, Container: d.Container, Node: d.Node,
		Reason: d.Reason, Message: d.Message, Count: d.Count, Since: moment(d.Since), Evidence: unpackLabels(d.Evidence),
	}, nil
}

func packLabels(labels []telemetry.Label) [][2]string {
	if len(labels) == 0 {
		return nil
	}
	packed := make([][2]string, len(labels))
	for i, l := range labels {
		packed[i] = [2]string{l.Key, l.Value}
	}
	return packed
}

func unpackLabels(packed [][2]string) []telemetry.Label {
	if len(packed) == 0 {
		return nil
	}
	labels := make([]telemetry.Label, len(packed))
	for i, l := range packed {
		labels[i] = telemetry.Label{Key: l[0], Value: l[1]}
	}
	return labels
}

// packJSON packs structs of strings and integers, which cannot fail.
func packJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}
