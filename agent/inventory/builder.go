// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	// maxObjectMessage bounds the message that is kept of an object, in bytes.
	maxObjectMessage = 512
	// maxLabelBytes bounds all labels of an object together.
	maxLabelBytes = 16 << 10
)

// builder collects what becomes a record. It is used again and again, so that
// only what is kept costs memory.
type builder struct {
	record

	numbers []telemetry.Number
	shared  []telemetry.Label
	own     []telemetry.Label
	packed  []byte
	// word is for joining lists.
	word []byte
}

// begin starts the record of an object with what every object has.
func (b *builder) begin(meta *metav1.ObjectMeta) {
	b.record = record{}
	b.numbers, b.shared, b.own = b.numbers[:0], b.shared[:0], b.own[:0]
	b.uid = uidOf(telemetry.Clip(string(meta.UID), telemetry.MaxUID))
	b.version, _ = strconv.ParseUint(meta.ResourceVersion, 10, 64)
	b.created = toMillis(meta.CreationTimestamp.Time)
	if meta.DeletionTimestamp != nil {
		b.deleted = toMillis(meta.DeletionTimestamp.Time)
	}
	if owner := metav1.GetControllerOfNoCopy(meta); owner != nil {
		b.ownedBy(owner.Kind, owner.Name, string(owner.UID))
	}
	labels, _ := telemetry.Labels(meta.Labels, telemetry.MaxLabels, telemetry.MaxLabelValue)
	size := 0
	for n := range labels {
		if size += len(labels[n].Key) + len(labels[n].Value); size > maxLabelBytes {
			labels = labels[:n]
			break
		}
	}
	b.labels = b.pack(labels)
}

func (b *builder) ownedBy(kind, name, uid string) {
	b.owner = unique.Make(telemetry.ObjectRef{
		Kind: telemetry.Clip(kind, telemetry.MaxReason),
		Name: telemetry.Clip(name, telemetry.MaxName),
		UID:  telemetry.Clip(uid, telemetry.MaxUID),
	})
}

// spec sets the generations of a kind that has a spec and a status.
func (b *builder) spec(generation, observed int64) {
	b.generation, b.observed = max(generation, 0), max(observed, 0)
}

func (b *builder) inPhase(phase string) { b.phase = intern(telemetry.Clip(phase, telemetry.MaxReason)) }

// because sets the reason and the message, unless there already is a reason.
func (b *builder) because(reason, message string) bool {
	if reason == "" || b.reason != (word{}) {
		return false
	}
	b.reason = intern(telemetry.Clip(reason, telemetry.MaxReason))
	// A copy: what Clip returns may share the memory of a much longer string.
	b.message = strings.Clone(telemetry.Clip(message, maxObjectMessage))
	return true
}

// isReady says whether the object does what it is for.
func (b *builder) isReady(ready bool) {
	b.ready = telemetry.ReadyFalse
	if ready {
		b.ready = telemetry.ReadyTrue
	}
}

// readyFrom takes a condition's status.
func (b *builder) readyFrom(status string) {
	switch status {
	case string(metav1.ConditionTrue):
		b.ready = telemetry.ReadyTrue
	case string(metav1.ConditionFalse):
		b.ready = telemetry.ReadyFalse
	default:
		b.ready = telemetry.ReadyUnknown
	}
}

func (b *builder) number(id telemetry.NumberID, value int64) {
	b.numbers = append(b.numbers, telemetry.Number{ID: id, Value: value})
}

// moment adds a time in seconds, unless it is unknown.
func (b *builder) moment(id telemetry.NumberID, t *metav1.Time) {
	if t != nil && toMillis(t.Time) != 0 {
		b.number(id, t.Unix())
	}
}

// attribute adds a word that many objects of the kind have alike, unless it is "".
func (b *builder) attribute(key, value string) {
	if value != "" {
		b.shared = append(b.shared, telemetry.Label{Key: key, Value: telemetry.Clip(value, telemetry.MaxLabelValue)})
	}
}

// ownAttribute adds a word that no other object has, unless it is "".
func (b *builder) ownAttribute(key, value string) {
	if value != "" {
		b.own = append(b.own, telemetry.Label{Key: key, Value: telemetry.Clip(value, telemetry.MaxLabelValue)})
	}
}

// finish returns the record.
func (b *builder) finish() record {
	slices.SortFunc(b.numbers, func(x, y telemetry.Number) int { return cmp.Compare(x.ID, y.ID) })
	b.packed = packNumbers(b.packed[:0], b.numbers)
	b.record.numbers = string(b.packed)
	slices.SortFunc(b.shared, byKey)
	b.record.shared = b.pack(b.shared)
	slices.SortFunc(b.own, byKey)
	b.packed = packLabels(b.packed[:0], b.own)
	b.record.own = string(b.packed)
	return b.record
}

func (b *builder) pack(labels []telemetry.Label) word {
	b.packed = packLabels(b.packed[:0], labels)
	return intern(string(b.packed))
}

// join joins what each item gives by commas, up to the length of an attribute;
// the same twice in a row counts once.
func join[E any](b *builder, items []E, of func(*E) string) string {
	b.word = b.word[:0]
	last := ""
	for n := range items {
		s := of(&items[n])
		if s == "" || s == last {
			continue
		}
		last = s
		if len(b.word) > 0 {
			b.word = append(b.word, ',')
		}
		b.word = append(b.word, s...)
		if len(b.word) > telemetry.MaxLabelValue {
			break
		}
	}
	return string(b.word)
}

func itself(s *string) string { return *s }

// find returns the first condition that is the wanted one, nil when there is none.
func find[C any](conditions []C, is func(*C) bool) *C {
	for n := range conditions {
		if is(&conditions[n]) {
			return &conditions[n]
		}
	}
	return nil
}
