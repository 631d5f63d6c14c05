// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// What the engine gets. The rules begin at 90 % of a memory limit, at 25 % of throttled
// CFS periods within 5 minutes, and at 15 % free. What is outside of these bands cannot
// match, whatever it was before:
//
//   - A memory limit is compared with what is used at the moment.
//   - The part that is throttled within 5 minutes is a mean of the parts between two
//     readings, so it needs one that is above 25 %. Once there was one, the engine gets
//     them until the 5 minutes are over.
//   - Where the space of a claim is going is a line through up to 6 hours. A claim that
//     loses 25 % of its space within the half hour that a line needs at least, is below
//     3 % a quarter of an hour later.
const (
	memoryEnter, memoryLeave = 0.85, 0.80
	throttled                = 0.20
	throttledFor             = 5 * time.Minute
	freeEnter, freeLeave     = 0.40, 0.45
	// freeLow is below what free part a claim is told of with each measurement. Above,
	// only the line is of interest, which takes a point every 5 minutes.
	freeLow  = 0.20
	lineStep = 5 * time.Minute
)

const (
	// volumePause is how often kubelets measure volumes, unless they tell otherwise by
	// doing it less often, up to maxPause.
	volumePause = time.Minute
	maxPause    = 15 * time.Minute
)

// told is what the engine knows of a container or a claim.
type told struct {
	// stamp is when it was measured, by the node's clock, and at when that was first
	// read, by this one: clocks differ, and a kubelet that hangs tells the same
	// measurement again and again.
	stamp int64
	at    time.Time
	// pause is the time between two measurements.
	pause time.Duration
	// passed is when it was last passed on, and low whether it was low then.
	passed time.Time
	low    bool
	// throttledAt is when more than a little was throttled last.
	throttledAt time.Time
	// calm is true when what the engine knows is that all is well.
	calm bool
}

// periods are the CFS periods of a container at the last reading.
type periods struct{ all, throttled uint64 }

// watch is what is known of one node. It is a pure state machine: readings and moments
// go in, and what to tell the engine comes out.
type watch struct {
	interval time.Duration
	// told has what the engine knows.
	told map[facts.Ref]*told
	// cpu has the containers with a CPU limit.
	cpu map[facts.Ref]periods
	// The first reading of each kind is told whole, once: before a restart anything
	// may have been open.
	volumesRead, containersRead bool
}

func newWatch(interval time.Duration) *watch {
	return &watch{interval: interval, told: map[facts.Ref]*told{}, cpu: map[facts.Ref]periods{}}
}

// news is what to tell the engine.
type news struct {
	// begin are those of which nothing was told before.
	begin   []facts.Ref
	observe []facts.Object
	forget  []facts.Ref
}

// volumes takes all claims of the node.
func (w *watch) volumes(all []volume, now time.Time) (out news) {
	first := !w.volumesRead
	w.volumesRead = true
	seen := make(map[facts.Ref]bool, len(w.told))
	for i := range all {
		v := &all[i]
		ref := facts.Ref{Kind: facts.KindVolumeUsage, Namespace: v.namespace, Name: v.claim}
		known := w.told[ref]
		free, measured := v.free()
		if !measured {
			if known != nil {
				seen[ref] = true // nothing is known, which is no recovery
			}
			continue
		}
		near := free < freeEnter || known != nil && !known.calm && free < freeLeave
		if !w.wants(known, near, first) {
			continue
		}
		seen[ref] = true
		known, fresh := w.measured(ref, stampOf(v.measured), max(w.interval, volumePause), now, &out)
		low := free < freeLow
		if !fresh || near && !low && !known.low && now.Sub(known.passed) < lineStep && !known.passed.IsZero() {
			continue
		}
		known.calm, known.low, known.passed = !near, low, now
		out.observe = append(out.observe, &facts.VolumeUsage{
			Meta: facts.Meta{Ref: ref}, At: known.at, Interval: known.pause,
			Capacity: v.capacity, Available: v.available, Inodes: v.inodes, InodesFree: v.inodesFree,
		})
	}
	w.drop(facts.KindVolumeUsage, seen, &out)
	return out
}

// free returns which part is, the smaller one of bytes and inodes. It is false when
// neither is known.
func (v *volume) free() (part float64, ok bool) {
	part = 1
	if v.capacity > 0 {
		part, ok = float64(v.available)/float64(v.capacity), true
	}
	if v.inodes > 0 {
		part, ok = min(part, float64(v.inodesFree)/float64(v.inodes)), true
	}
	return part, ok
}

// containers takes all containers of the node that have limits.
func (w *watch) containers(all []container, now time.Time) (out news) {
	first := !w.containersRead
	w.containersRead = true
	seen := make(map[facts.Ref]bool, len(w.told))
	cpu := make(map[facts.Ref]periods, len(w.cpu))
	for i := range all {
		c := &all[i]
		ref := facts.Ref{Kind: facts.KindContainerUsage, Namespace: c.namespace, Name: c.pod + "/" + c.name}
		part := 0.0
		if c.periods > 0 {
			current := periods{c.periods, c.throttled}
			part, cpu[ref] = current.since(w.cpu[ref]), current
		}
		known := w.told[ref]
		used := 0.0
		if c.memoryLimit > 0 {
			used = float64(c.workingSet) / float64(c.memoryLimit)
		}
		near := used > memoryEnter || part > throttled ||
			known != nil && !known.calm && (used > memoryLeave || now.Sub(known.throttledAt) <= throttledFor+w.interval)
		if !w.wants(known, near, first) {
			continue
		}
		seen[ref] = true
		known, fresh := w.measured(ref, c.measured, w.interval, now, &out)
		if part > throttled {
			known.throttledAt = now
		}
		if !fresh {
			continue
		}
		known.calm, known.passed = !near, now
		out.observe = append(out.observe, &facts.ContainerUsage{
			Meta: facts.Meta{Ref: ref}, Pod: c.pod, Container: c.name, At: known.at, Interval: known.pause,
			WorkingSet: c.workingSet, MemoryLimit: c.memoryLimit, Periods: c.periods, Throttled: c.throttled,
		})
	}
	w.cpu = cpu
	w.drop(facts.KindContainerUsage, seen, &out)
	return out
}

// since returns which part of the periods since an earlier reading was throttled; 0
// when there was none, or of another container of the name.
func (p periods) since(before periods) float64 {
	if before.all == 0 || p.all <= before.all || p.throttled < before.throttled {
		return 0
	}
	return float64(p.throttled-before.throttled) / float64(p.all-before.all)
}

// wants says whether to tell the engine of something. What has become calm is told
// once, because that is its recovery, and forgotten with the next reading.
func (*watch) wants(known *told, near, first bool) bool {
	return near || first || known != nil && !known.calm
}

// measured takes the stamp of a measurement, and says whether it is a new one.
func (w *watch) measured(ref facts.Ref, stamp int64, pause time.Duration, now time.Time, out *news) (*told, bool) {
	t := w.told[ref]
	switch {
	case t == nil:
		t = &told{stamp: stamp, at: now, pause: pause}
		w.told[ref] = t
		out.begin = append(out.begin, ref)
	case stamp != 0 && stamp == t.stamp:
		return t, false
	default:
		t.pause = max(pause, min(now.Sub(t.at), maxPause))
		t.stamp, t.at = stamp, now
	}
	return t, true
}

// drop forgets what the engine knows of a kind and need not any more.
func (w *watch) drop(kind string, seen map[facts.Ref]bool, out *news) {
	for ref := range w.told {
		if ref.Kind == kind && !seen[ref] {
			delete(w.told, ref)
			out.forget = append(out.forget, ref)
		}
	}
}

// end forgets everything: the node is gone.
func (w *watch) end() (out news) {
	for ref := range w.told {
		out.forget = append(out.forget, ref)
	}
	clear(w.told)
	return out
}

func stampOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
