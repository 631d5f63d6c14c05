// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

var clusterRef = facts.Ref{Kind: facts.KindCluster, Name: facts.ClusterName}

// Kinds of subjects and needs that are no objects.
const (
	kindEventStorm    = "EventStorm"
	kindZeroWorkloads = "ZeroWorkloads"
	kindEndpoints     = "Endpoints"
	kindSucceeded     = "Succeeded"
	kindKeptSecret    = "KeptSecret"
)

// nodeMemory is what is remembered of a node.
type nodeMemory struct {
	ready    string
	changes  []time.Time
	bootID   string
	rebooted time.Time
}

const flapWindow = 15 * time.Minute

// specMemory is when the spec of an object was last seen to change.
type specMemory struct{ changed time.Time }

// note updates what a World keeps besides the objects.
func (w *World) note(t *thing, before facts.Object, now time.Time) {
	switch o := t.object.(type) {
	case *facts.Node:
		w.noteNode(t, o, now)
	case *facts.Workload:
		w.noteWorkload(t, o, before, now)
	case *facts.Job:
		w.noteJob(o)
	case *facts.CronJob:
		old, _ := before.(*facts.CronJob)
		w.noteCronJob(t, o, old, now)
	case *facts.NodeSample:
		if before == nil {
			w.sampled++
		}
		t.memory = rememberSample(t.memory, o)
		w.noteUsage(o, now)
	case *facts.ContainerUsage:
		t.memory = rememberUsage(t.memory, o)
	case *facts.VolumeUsage:
		t.memory = rememberVolume(t.memory, o)
	default:
		w.noteNetwork(o, before)
	}
}

func (w *World) noteNode(t *thing, o *facts.Node, now time.Time) {
	m, _ := t.memory.(*nodeMemory)
	fresh := m == nil
	if fresh {
		m = &nodeMemory{}
		t.memory = m
	}
	if ready := facts.Find(o.Conditions, "Ready"); ready != nil {
		if m.ready != "" && m.ready != ready.Status {
			at := ready.Since
			if at.IsZero() || at.After(now) {
				at = now
			}
			m.changes = append(m.changes, at)
		}
		m.ready = ready.Status
	}
	for len(m.changes) > 0 && now.Sub(m.changes[0]) >= flapWindow {
		m.changes = m.changes[1:]
	}
	if o.BootID != "" {
		if m.bootID != "" && m.bootID != o.BootID {
			m.rebooted = now
		}
		m.bootID = o.BootID
	}
	over := w.totals.over()
	if w.totals.putNode(o) || w.totals.over() != over {
		w.touch(clusterRef)
		w.touchMetrics(nodeMetrics...)
	}
}

func (w *World) noteWorkload(t *thing, o *facts.Workload, before facts.Object, now time.Time) {
	m, _ := t.memory.(*workloadMemory)
	if m == nil {
		m = &workloadMemory{}
		t.memory = m
	}
	m.note(o, before == nil, w.options.Snapshot, now)
	old, _ := before.(*facts.Workload)
	w.countTemplates(o, old)
}

func cronJobOf(j *facts.Job) (facts.Ref, bool) {
	if j.Owner.Kind != facts.KindCronJob {
		return facts.Ref{}, false
	}
	return facts.Ref{Kind: facts.KindCronJob, Namespace: j.Namespace, Name: j.Owner.Name}, true
}

func succeededRef(cronJob facts.Ref) facts.Ref {
	cronJob.Kind = kindSucceeded
	return cronJob
}

func (w *World) noteCronJob(t *thing, o, before *facts.CronJob, now time.Time) {
	if before != nil && before.Generation != o.Generation {
		t.memory = &specMemory{changed: now}
	}
	if !o.LastSucceeded.IsZero() && (before == nil || !before.LastSucceeded.Equal(o.LastSucceeded)) {
		w.notify(succeededRef(o.Ref))
	}
}

// noteJob keeps the newest Job of each CronJob that succeeded.
func (w *World) noteJob(j *facts.Job) {
	cronJob, ok := cronJobOf(j)
	if !ok || !isComplete(j) || !j.Created.After(w.succeeded[cronJob]) {
		return
	}
	w.succeeded[cronJob] = j.Created
	w.notify(succeededRef(cronJob))
}

// forgetCronJob drops what is kept for a CronJob that is not there, with its Jobs.
func (w *World) forgetCronJob(j *facts.Job) {
	if cronJob, ok := cronJobOf(j); ok && w.things[cronJob] == nil && w.things[j.Ref] == nil {
		if len(w.dependents[succeededRef(cronJob)]) == 0 {
			delete(w.succeeded, cronJob)
		}
	}
}

func (w *World) putEvent(o *facts.Event, now time.Time) {
	if w.options.Snapshot {
		if o = until(o, now); o == nil {
			return
		}
	}
	if w.events.Put(o, now) == 0 {
		return
	}
	if heard[o.Reason] {
		w.touch(o.Regarding)
		if w.options.Snapshot {
			w.hearLone(o.Regarding)
		}
		w.noteQuota(o, now)
	}
	if o.Warning {
		w.touch(stormRef(eventlog.Kind{Namespace: o.Regarding.Namespace, Reason: o.Reason}))
	}
}

// until is an event as it was at a moment, nil when it had not happened yet. Of one
// that went on happening only the first time is known.
func until(o *facts.Event, now time.Time) *facts.Event {
	switch {
	case !o.Last.After(now):
		return o
	case o.First.After(now):
		return nil
	}
	earlier := *o
	earlier.Count, earlier.Last = 1, o.First
	return &earlier
}

func stormRef(k eventlog.Kind) facts.Ref {
	return facts.Ref{Kind: kindEventStorm, Namespace: k.Namespace, Name: k.Reason}
}

func portsOf(ports []facts.Port) string {
	var b strings.Builder
	for _, p := range ports {
		b.WriteString(p.Name)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(int(p.Number)))
		b.WriteByte(' ')
	}
	return b.String()
}

// minorOf returns the minor version of "v1.37.2", 0 when there is none.
func minorOf(version string) int {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return 0
	}
	digits := strings.TrimRightFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
