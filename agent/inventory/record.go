// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// record is the slim form that is kept of an object of any kind, and all that
// the hub learns of it. It is comparable, about 200 bytes, and shares with its
// siblings whatever they have in common: a pod's labels, images and owner are
// one pointer each.
type record struct {
	uid objectUID
	// version is the resourceVersion. It differs without anything to tell.
	version              uint64
	generation, observed int64
	owner                unique.Handle[telemetry.ObjectRef]
	node, phase, reason  word
	message              string
	// labels and shared hold packed labels and attributes.
	labels, shared word
	// own are packed attributes that no other object has, and numbers are packed
	// numbers.
	own, numbers string
	// created and deleted are Unix times in milliseconds, 0 for never.
	created, deleted int64
	replicas         telemetry.Replicas
	restarts         int32
	ready            telemetry.Readiness
}

// sameAs says whether both tell the same of the same object.
func (r *record) sameAs(other *record) bool {
	if r.version == other.version {
		return *r == *other
	}
	a, b := *r, *other
	a.version, b.version = 0, 0
	return a == b
}

// delta is what the hub is told of the object.
func (r *record) delta(kind telemetry.Kind, key objectKey) telemetry.ObjectDelta {
	d := telemetry.ObjectDelta{
		Op:                 telemetry.OpUpsert,
		Kind:               kind,
		Namespace:          key.namespace.Value(),
		Name:               key.name,
		UID:                r.uid.String(),
		ResourceVersion:    r.version,
		Generation:         r.generation,
		ObservedGeneration: r.observed,
		Node:               text(r.node),
		Phase:              text(r.phase),
		Reason:             text(r.reason),
		Message:            r.message,
		Ready:              r.ready,
		Restarts:           r.restarts,
		Replicas:           r.replicas,
		Created:            fromMillis(r.created),
		Deleted:            fromMillis(r.deleted),
		Labels:             unpackLabels(text(r.labels), ""),
		Numbers:            unpackNumbers(r.numbers),
		Attributes:         unpackLabels(text(r.shared), r.own),
	}
	if r.owner != (unique.Handle[telemetry.ObjectRef]{}) {
		d.Owner = r.owner.Value()
	}
	return d
}

// word is an interned string; its zero value is "".
type word = unique.Handle[string]

func intern(s string) word {
	if s == "" {
		return word{}
	}
	return unique.Make(s)
}

func text(w word) string {
	if w == (word{}) {
		return ""
	}
	return w.Value()
}

// objectUID is a UID in 24 bytes: those of a UUID in its usual form, or any other.
type objectUID struct {
	bits  [16]byte
	other word
}

const uuidLength = 36

func uidOf(s string) objectUID {
	var u objectUID
	if len(s) == uuidLength {
		var digits [32]byte
		copy(digits[0:8], s[0:8])
		copy(digits[8:12], s[9:13])
		copy(digits[12:16], s[14:18])
		copy(digits[16:20], s[19:23])
		copy(digits[20:32], s[24:36])
		if _, err := hex.Decode(u.bits[:], digits[:]); err == nil && u.bits != [16]byte{} && u.String() == s {
			return u
		}
	}
	return objectUID{other: intern(s)}
}

// String returns the UID as it was.
func (u objectUID) String() string {
	if u.bits == [16]byte{} {
		return text(u.other)
	}
	var out [uuidLength]byte
	hex.Encode(out[0:8], u.bits[0:4])
	hex.Encode(out[9:13], u.bits[4:6])
	hex.Encode(out[14:18], u.bits[6:8])
	hex.Encode(out[19:23], u.bits[8:10])
	hex.Encode(out[24:36], u.bits[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// toMillis is 0 for times that telemetry cannot carry.
func toMillis(t time.Time) int64 {
	if year := t.UTC().Year(); t.IsZero() || year < 1970 || year > 9999 {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// packLabels appends labels, each as two strings with their lengths in front.
func packLabels(packed []byte, labels []telemetry.Label) []byte {
	for i := range labels {
		packed = binary.AppendUvarint(packed, uint64(len(labels[i].Key)))
		packed = append(packed, labels[i].Key...)
		packed = binary.AppendUvarint(packed, uint64(len(labels[i].Value)))
		packed = append(packed, labels[i].Value...)
	}
	return packed
}

// unpackLabels returns the labels of two packs in the order of their keys. They
// share the packs' memory.
func unpackLabels(packs ...string) []telemetry.Label {
	var labels []telemetry.Label
	sorted := true
	for _, packed := range packs {
		for packed != "" {
			var l telemetry.Label
			l.Key, packed = cutString(packed)
			l.Value, packed = cutString(packed)
			if labels == nil {
				labels = make([]telemetry.Label, 0, 8)
			}
			sorted = sorted && (len(labels) == 0 || labels[len(labels)-1].Key < l.Key)
			labels = append(labels, l)
		}
	}
	if !sorted {
		slices.SortFunc(labels, byKey)
	}
	return labels
}

func byKey(a, b telemetry.Label) int { return strings.Compare(a.Key, b.Key) }

func cutString(packed string) (s, rest string) {
	n, packed := cutUvarint(packed)
	return packed[:n], packed[n:]
}

func cutUvarint(packed string) (n uint64, rest string) {
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		n |= uint64(packed[i]&0x7f) << shift
		if packed[i] < 0x80 {
			return n, packed[i+1:]
		}
	}
}

// packNumbers appends numbers, each as two varints.
func packNumbers(packed []byte, numbers []telemetry.Number) []byte {
	for i := range numbers {
		packed = binary.AppendUvarint(packed, uint64(numbers[i].ID))
		packed = binary.AppendUvarint(packed, zigzag(numbers[i].Value))
	}
	return packed
}

func unpackNumbers(packed string) []telemetry.Number {
	var numbers []telemetry.Number
	for packed != "" {
		var id, value uint64
		id, packed = cutUvarint(packed)
		value, packed = cutUvarint(packed)
		if numbers == nil {
			numbers = make([]telemetry.Number, 0, 8)
		}
		numbers = append(numbers, telemetry.Number{ID: telemetry.NumberID(id), Value: unzigzag(value)}) //nolint:gosec // packed from a NumberID
	}
	return numbers
}

// zigzag makes small numbers of those near zero, whatever their sign.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) } //nolint:gosec // the bits are meant

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
