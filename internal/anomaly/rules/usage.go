// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/trend"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// usageMemory has the CFS periods of a container in the last 5 minutes.
type usageMemory struct{ points []cfsPoint }

type cfsPoint struct {
	at                 time.Time
	periods, throttled uint64
}

const cfsWindow = 5 * time.Minute

func rememberUsage(memory any, o *facts.ContainerUsage) any {
	if o.Periods == 0 {
		return nil
	}
	m, _ := memory.(*usageMemory)
	if m == nil {
		m = &usageMemory{}
	}
	n := len(m.points)
	if n > 0 && !o.At.After(m.points[n-1].at) {
		return m
	}
	if n > 0 && o.Periods < m.points[n-1].periods {
		m.points = m.points[:0] // the container is another one
	}
	m.points = slices.DeleteFunc(m.points, func(p cfsPoint) bool { return o.At.Sub(p.at) > cfsWindow })
	m.points = append(m.points, cfsPoint{o.At, o.Periods, o.Throttled})
	return m
}

// throttledPart is which part of the periods in the window was throttled.
func (m *usageMemory) throttledPart() float64 {
	if m == nil || len(m.points) < 2 {
		return 0
	}
	first, last := m.points[0], m.points[len(m.points)-1]
	if last.periods <= first.periods || last.throttled < first.throttled {
		return 0
	}
	return float64(last.throttled-first.throttled) / float64(last.periods-first.periods)
}

func (e *evaluation) judgeContainerUsage(o *facts.ContainerUsage, t *thing) {
	pod := e.w.pods[facts.Ref{Kind: facts.KindPod, Namespace: o.Namespace, Name: o.Pod}]
	if pod == nil {
		return
	}
	m, _ := t.memory.(*usageMemory)
	if part := m.throttledPart(); part > 0.25 {
		e.used(o, pod, podThrottled, "CPUThrottled", "throttled periods", percent(part, 1))
	}
	if o.MemoryLimit > 0 && float64(o.WorkingSet) > 0.9*float64(o.MemoryLimit) {
		e.used(o, pod, podMemoryLimit, "MemoryNearLimit", "working set", percent(float64(o.WorkingSet), float64(o.MemoryLimit)))
	}
}

// used adds a finding about a container of a pod.
func (e *evaluation) used(o *facts.ContainerUsage, p *pod, id catalogue.ID, reason, what, value string) {
	self := facts.Ref{Kind: facts.KindPod, Namespace: o.Namespace, Name: o.Pod}
	stub := &facts.Pod{Meta: facts.Meta{Ref: self, UID: p.uid, Owner: p.owner}, TemplateHash: p.hash, Node: p.node}
	f := e.container(stub, &facts.Container{Name: o.Container}, id, reason)
	f.Fresh = freshUntil(o.At, o.Interval)
	f.Explain = inState(fmt.Sprintf("The %s of container %s in pod %s is %s", what, o.Container, o.Pod, value), what, value,
		label("workingSetBytes", strconv.FormatInt(o.WorkingSet, 10)), label("memoryLimitBytes", strconv.FormatInt(o.MemoryLimit, 10)))
	e.add(&o.Meta, f, sinceCreated)
}

// volumeMemory watches where the space of a claim is going.
type volumeMemory struct{ space, inodes trend.Line }

func rememberVolume(memory any, o *facts.VolumeUsage) any {
	m, _ := memory.(*volumeMemory)
	if m == nil {
		m = &volumeMemory{}
	}
	m.space.Add(o.At, float64(o.Available))
	m.inodes.Add(o.At, float64(o.InodesFree))
	return m
}

func (e *evaluation) judgeVolumeUsage(o *facts.VolumeUsage, t *thing) {
	claim, _ := e.look(facts.Ref{Kind: facts.KindClaim, Namespace: o.Namespace, Name: o.Name}).(*facts.Claim)
	if claim != nil && claim.ReadOnly {
		return
	}
	m, _ := t.memory.(*volumeMemory)
	e.filling(o, claimFilling, "bytes", o.Available, o.Capacity, &m.space)
	e.filling(o, claimInodes, "inodes", o.InodesFree, o.Inodes, &m.inodes)
}

func (e *evaluation) filling(o *facts.VolumeUsage, id catalogue.ID, what string, free, all int64, line *trend.Line) {
	const (
		low      = 0.15
		critical = 0.03
		soon     = 4 * 24 * time.Hour
	)
	if all <= 0 || float64(free) >= low*float64(all) {
		return
	}
	in, falling := line.Empty(o.At, float64(free))
	nearly := float64(free) < critical*float64(all)
	if !nearly && (!falling || in > soon) {
		return
	}
	f := Finding{Key: Key{Rule: id, Group: Group{Namespace: o.Namespace, Kind: facts.KindClaim, Name: o.Name}}, Reason: "FillingUp", Hold: RuleHold}
	f.Object = telemetry.ObjectRef{Kind: facts.KindClaim, Namespace: o.Namespace, Name: o.Name}
	f.Fresh = freshUntil(o.At, o.Interval)
	if nearly {
		// What is nearly full is critical after a minute, whatever the trend was.
		f.Hold = time.Minute
		f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: time.Minute}}
	}
	f.Explain = inState(fmt.Sprintf("%s of the %s of claim %s are free", percent(float64(free), float64(all)), what, o.Name),
		"volumeStats."+what, strconv.FormatInt(free, 10), label("capacity", strconv.FormatInt(all, 10)))
	e.add(&o.Meta, f, sinceCreated)
}
