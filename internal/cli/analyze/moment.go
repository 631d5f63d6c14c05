// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze

import (
	"encoding/json"
	"regexp"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

// fresh is how old a dump may be to be taken for one that was made just now, and how
// far a clock may be ahead of that of this machine.
const fresh = 10 * time.Minute

// Moment is when to judge a dump, if nobody says: now for one that was made just
// now or does not tell when, else when it was made. It is never before something
// that has happened.
func Moment(d *Dump, now time.Time) time.Time {
	if !d.Heartbeat.IsZero() && now.Sub(d.Heartbeat) > fresh {
		return later(d.Heartbeat, d.Newest)
	}
	return later(now, d.Newest)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stamps finds the moments at which something had happened already. Those of the
// first group are written again and again by what is alive.
var stamps = regexp.MustCompile(`"(?:(lastHeartbeatTime|renewTime|lastTimestamp|deprecatedLastTimestamp|lastObservedTime|eventTime)|` +
	`creationTimestamp|lastTransitionTime|lastUpdateTime|lastProbeTime|firstTimestamp|deprecatedFirstTimestamp|startTime|startedAt|finishedAt|` +
	`completionTime|lastScheduleTime|lastSuccessfulTime|lastScaleTime|lastPhaseTransitionTime|acquireTime)"\s*:\s*"([^"\\]{1,40})"`)

// eventTimes are the fields of events that are no part of a status.
var eventTimes = []string{"eventTime", "firstTimestamp", "lastTimestamp", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "series"}

// times takes the moments that an object tells: of when it was made, and what whoever
// keeps it up to date says. What people write into a spec or an annotation may be a
// plan.
func (d *Dump) times(kind string, content []byte) {
	var parts map[string]json.RawMessage
	if json.Unmarshal(content, &parts) != nil {
		return
	}
	var meta struct {
		CreationTimestamp string `json:"creationTimestamp"`
	}
	if json.Unmarshal(parts["metadata"], &meta) == nil {
		d.time(meta.CreationTimestamp, false)
	}
	d.stamped(parts["status"])
	switch kind {
	case facts.KindLease:
		d.stamped(parts["spec"])
	case facts.KindEvent:
		for _, key := range eventTimes {
			d.stamped([]byte(`"` + key + `":` + string(parts[key])))
		}
	}
}

func (d *Dump) stamped(content []byte) {
	for _, match := range stamps.FindAllSubmatch(content, -1) {
		d.time(string(match[2]), len(match[1]) > 0)
	}
}

// time takes a moment, life being whether something gave a sign of it.
func (d *Dump) time(stamp string, life bool) {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || !d.Clock.IsZero() && t.After(d.Clock.Add(fresh)) {
		return
	}
	d.Newest = later(d.Newest, t)
	if life {
		d.Heartbeat = later(d.Heartbeat, t)
	}
}
