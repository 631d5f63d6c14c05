// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// Event converts an event of the core group.
func Event(o *corev1.Event) *facts.Event {
	e := &facts.Event{
		Meta: meta(facts.KindEvent, &o.ObjectMeta), Reason: intern(o.Reason), Message: o.Message,
		Container: containerIn(o.InvolvedObject.FieldPath), Warning: o.Type == corev1.EventTypeWarning,
		Count: o.Count, First: o.FirstTimestamp.Time, Last: o.LastTimestamp.Time,
	}
	regards(e, &o.InvolvedObject)
	if o.Series != nil {
		e.Count, e.Last = max(o.Series.Count, e.Count), o.Series.LastObservedTime.Time
	}
	return dated(e, o.EventTime.Time)
}

// NewEvent converts an event of the group events.k8s.io.
func NewEvent(o *eventsv1.Event) *facts.Event {
	e := &facts.Event{
		Meta: meta(facts.KindEvent, &o.ObjectMeta), Reason: intern(o.Reason), Message: o.Note,
		Container: containerIn(o.Regarding.FieldPath), Warning: o.Type == corev1.EventTypeWarning,
		Count: o.DeprecatedCount, First: o.DeprecatedFirstTimestamp.Time, Last: o.DeprecatedLastTimestamp.Time,
	}
	regards(e, &o.Regarding)
	if o.Series != nil {
		e.Count, e.Last = max(o.Series.Count, e.Count), o.Series.LastObservedTime.Time
	}
	return dated(e, o.EventTime.Time)
}

// dated fills in the times that the writer of an event left out.
func dated(e *facts.Event, eventTime time.Time) *facts.Event {
	if e.First.IsZero() {
		e.First = eventTime
	}
	if e.First.IsZero() {
		e.First = e.Created
	}
	if e.Last.IsZero() {
		e.Last = e.First
	}
	e.Count = max(e.Count, 1)
	return e
}

// clusterScoped are the kinds without a namespace.
var clusterScoped = map[string]bool{
	facts.KindNode: true, facts.KindVolume: true, facts.KindNamespace: true, facts.KindStorageClass: true, facts.KindIngressClass: true,
	facts.KindVolumeAttachment: true, facts.KindAPIService: true, facts.KindValidating: true, facts.KindMutating: true,
	facts.KindDefinition: true, facts.KindSigningRequest: true, facts.KindManagedCluster: true,
}

// groups are the API groups of the kinds that rules look at.
var groups = func() map[string][]string {
	byKind := map[string][]string{}
	for name := range types {
		apiVersion, kind, _ := strings.Cut(name, " ")
		byKind[kind] = append(byKind[kind], groupOf(apiVersion))
	}
	return byKind
}()

func groupOf(apiVersion string) string {
	group, _, grouped := strings.Cut(apiVersion, "/")
	if !grouped {
		return ""
	}
	return group
}

// legacyGroup is where workloads and Ingresses were before they had groups.
const legacyGroup = "extensions"

// regards fills in what an event is about. A kind of another API group that shares its
// name with one that rules look at has the group behind it.
func regards(e *facts.Event, r *corev1.ObjectReference) {
	e.Regarding = facts.Ref{Kind: intern(r.Kind), Namespace: intern(r.Namespace), Name: r.Name}
	known := groups[r.Kind]
	switch group := groupOf(r.APIVersion); {
	case len(known) == 0:
		return
	case r.APIVersion != "" && group != legacyGroup && !slices.Contains(known, group):
		e.Regarding.Kind = intern(strings.TrimSuffix(r.Kind+"."+group, "."))
		return
	case clusterScoped[r.Kind]:
		e.Regarding.Namespace = ""
	case r.Namespace == "":
		e.Regarding.Namespace = e.Namespace
	}
	e.RegardingUID = uidOf(r)
}

// uidOf is empty where an event has something else in that place: the kubelet writes
// the name of its node, and for a pod that it runs from a file a hash, which are no
// UIDs of the API.
func uidOf(r *corev1.ObjectReference) string {
	const length = len("00000000-0000-0000-0000-000000000000")
	if r.Kind == facts.KindNode || len(r.UID) != length {
		return ""
	}
	return string(r.UID)
}

// containerIn finds the name in "spec.containers{web}".
func containerIn(fieldPath string) string {
	_, rest, ok := strings.Cut(fieldPath, "{")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(rest, "}")
}
