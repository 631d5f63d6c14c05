// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// DeltaOp is what an ObjectDelta does. The numbers are part of the wire format.
type DeltaOp uint8

// The operations.
const (
	// OpUpsert: the object exists and looks like this.
	OpUpsert DeltaOp = 1
	// OpDelete: the object is gone. Kind, Namespace, Name and UID are set.
	OpDelete DeltaOp = 2
	// OpSnapshotBegin: a full list of Kind follows. Only Kind is set. It is sent
	// at the start of an epoch, and after a gap in the stream.
	OpSnapshotBegin DeltaOp = 3
	// OpSnapshotEnd: the list of Kind is complete. Whatever of Kind the hub knows
	// and has not seen upserted since OpSnapshotBegin is gone. Besides Kind,
	// the number NumberObjects says how many objects the list has.
	OpSnapshotEnd DeltaOp = 4
)

var deltaOps = names{OpUpsert: "upsert", OpDelete: "delete", OpSnapshotBegin: "snapshot-begin", OpSnapshotEnd: "snapshot-end"}

// String returns the operation's name, or its number when unknown.
func (o DeltaOp) String() string { return deltaOps.name(uint8(o)) }

// MarshalText returns the operation's name.
func (o DeltaOp) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *DeltaOp) UnmarshalText(text []byte) error {
	value, err := deltaOps.parse(string(text))
	*o = DeltaOp(value)
	return err
}

// Readiness says whether an object does what it is for. The numbers are part of
// the wire format. Each Kind documents what it is taken from.
type Readiness uint8

// The states of readiness.
const (
	// ReadyUnknown: the kind has no such notion, or nobody knows.
	ReadyUnknown Readiness = 0
	// ReadyTrue: it does.
	ReadyTrue Readiness = 1
	// ReadyFalse: it does not.
	ReadyFalse Readiness = 2
)

var readinesses = names{ReadyUnknown: "Unknown", ReadyTrue: "True", ReadyFalse: "False"}

// String returns "Unknown", "True" or "False".
func (r Readiness) String() string { return readinesses.name(uint8(r)) }

// MarshalText returns the readiness's name.
func (r Readiness) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Readiness) UnmarshalText(text []byte) error {
	value, err := readinesses.parse(string(text))
	*r = Readiness(value)
	return err
}

// Replicas are the numbers of a workload. All are zero for kinds without.
type Replicas struct {
	// Desired is what the spec asks for: replicas, nodes to run on, completions.
	Desired int32
	// Current is how many exist; for a Job how many are active, for a CronJob
	// how many of its Jobs are.
	Current int32
	// Updated is how many are of the newest template; for a Job, how many
	// succeeded.
	Updated int32
	// Ready is how many are ready.
	Ready int32
	// Available is how many have been ready for long enough.
	Available int32
	// Failed is how many failed; only for Jobs.
	Failed int32
}

// ObjectDelta says that one object is different from before, or gone. It holds
// what a fleet view needs of an object and nothing that may be secret: no spec,
// no environment, no data of ConfigMaps and Secrets.
type ObjectDelta struct {
	// Op says what happened.
	Op DeltaOp
	// Kind of the object; see KindPod and the others.
	Kind Kind
	// Namespace is empty for cluster-scoped kinds.
	Namespace string
	// Name of the object.
	Name string
	// UID of the object: an object that is created again is another one.
	UID string
	// ResourceVersion is that of the object as it was seen, and for OpDelete of
	// the last sight of it; 0 when unknown or no decimal number.
	ResourceVersion uint64
	// Generation of the spec; 0 for kinds without.
	Generation int64
	// ObservedGeneration is what the object's controller has seen; 0 for kinds
	// without.
	ObservedGeneration int64
	// Owner is the object that manages this one; zero when there is none. It is
	// in the same namespace, and its Namespace is left empty.
	Owner ObjectRef
	// Node is where a pod runs; empty for other kinds and while it waits.
	Node string
	// Phase is the state in one word; each Kind documents its words.
	Phase string
	// Reason says why the object is not as it should be, such as
	// "CrashLoopBackOff" or "ProgressDeadlineExceeded"; empty when all is well.
	Reason string
	// Message explains Reason to people, at most MaxMessage bytes.
	Message string
	// Ready says whether the object does what it is for.
	Ready Readiness
	// Restarts is the sum of the restarts of a pod's containers.
	Restarts int32
	// Replicas are the numbers of a workload.
	Replicas Replicas
	// Created is when the object was created; zero when unknown.
	Created time.Time
	// Deleted is when its deletion was asked for; zero when it was not.
	Deleted time.Time
	// Labels are those of the object, sorted by key, at most MaxLabels with
	// values of at most MaxLabelValue bytes. Deltas may share the memory of
	// their labels: never change it in place.
	Labels []Label
	// Numbers are further quantities, ascending by ID, each once.
	Numbers []Number
	// Attributes are further words, sorted by key, at most MaxAttributes with
	// values of at most MaxLabelValue bytes; see AttributeImage and the others.
	Attributes []Label
}

func (*ObjectDelta) payload() {}

// Number returns a number of the object, and whether the object has it.
func (d *ObjectDelta) Number(id NumberID) (int64, bool) {
	for _, n := range d.Numbers {
		if n.ID == id {
			return n.Value, true
		}
	}
	return 0, false
}

// Attribute returns an attribute of the object, and whether the object has it.
func (d *ObjectDelta) Attribute(key string) (string, bool) { return Value(d.Attributes, key) }

// Validate implements Payload.
func (d *ObjectDelta) Validate() error {
	var c checker
	if d.Op < OpUpsert || d.Op > OpSnapshotEnd {
		c.fail("op", "%d is no known operation", uint8(d.Op))
	}
	c.required("kind", string(d.Kind), MaxReason)
	if d.Op == OpUpsert || d.Op == OpDelete {
		c.required("name", d.Name, MaxName)
		c.required("uid", d.UID, MaxUID)
	}
	c.text("namespace", d.Namespace, MaxName)
	c.text("name", d.Name, MaxName)
	c.text("uid", d.UID, MaxUID)
	if d.Generation < 0 || d.ObservedGeneration < 0 {
		c.fail("generation", "is negative")
	}
	c.ref("owner", d.Owner)
	c.text("node", d.Node, MaxName)
	c.text("phase", d.Phase, MaxReason)
	c.text("reason", d.Reason, MaxReason)
	c.text("message", d.Message, MaxMessage)
	r := d.Replicas
	if min(d.Restarts, r.Desired, r.Current, r.Updated, r.Ready, r.Available, r.Failed) < 0 {
		c.fail("replicas", "a number is negative")
	}
	c.time("created", d.Created)
	c.time("deleted", d.Deleted)
	c.labels("labels", d.Labels, MaxLabels, MaxLabelValue)
	c.count("numbers", len(d.Numbers), MaxNumbers)
	for i := range d.Numbers {
		if d.Numbers[i].ID == 0 || i > 0 && d.Numbers[i-1].ID >= d.Numbers[i].ID {
			c.fail("numbers", "are not ascending by ID, each once")
		}
	}
	c.labels("attributes", d.Attributes, MaxAttributes, MaxLabelValue)
	return c.err
}
