// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/schedule"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// longJob is how long a Job may run.
const longJob = 12 * time.Hour

func (e *evaluation) judgeJob(j *facts.Job) {
	if c := facts.Is(j.Conditions, "Failed", facts.True); c != nil && isReason(c,
		"BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy", "MaxFailedIndexesExceeded", "FailedIndexes") {
		e.judgeFailedJob(j, c)
		return
	}
	if isComplete(j) || j.Suspended || j.Active <= 0 || j.Started.IsZero() || !j.Deleted.IsZero() {
		return
	}
	f := itself(&j.Meta, jobLong, "RunsTooLong", j.Started)
	f.Hold = longJob + beyond
	f.Explain = inState("Job "+j.Name+" has run since "+stampOf(j.Started), "status.startTime", stampOf(j.Started), label("active", strconv.Itoa(int(j.Active))))
	e.add(&j.Meta, f, sinceCreated)
}

func (e *evaluation) judgeFailedJob(j *facts.Job, c *facts.Condition) {
	f := itself(&j.Meta, jobFailed, c.Reason, c.Since)
	f.Explain = byCondition("Job "+j.Name+" failed", c)
	if cronJob, ok := cronJobOf(j); ok {
		e.need(succeededRef(cronJob))
		if e.w.succeeded[cronJob].After(j.Created) || e.w.succeededSince(cronJob, c.Since) {
			return
		}
		f.Group = groupOf(cronJob)
		f.Owner = telemetry.ObjectRef{Kind: j.Owner.Kind, Namespace: j.Namespace, Name: j.Owner.Name, UID: j.Owner.UID}
	}
	// It failed before anybody looked: old news, except in a snapshot.
	if !e.w.options.Snapshot && !c.Since.IsZero() && c.Since.Before(e.w.options.Horizon) {
		return
	}
	e.add(&j.Meta, f, sinceCreated)
}

// succeededSince says that a CronJob remembers a success later than a moment, which a
// Job may have had that is not kept.
func (w *World) succeededSince(cronJob facts.Ref, moment time.Time) bool {
	t := w.things[cronJob]
	if t == nil || moment.IsZero() {
		return false
	}
	c, ok := t.object.(*facts.CronJob)
	return ok && c.LastSucceeded.After(moment)
}

// judgeSchedule finds a CronJob that is never run because of what it asks for.
func (e *evaluation) judgeSchedule(c *facts.CronJob) {
	if h, ok := e.ask(c.Ref, &scheduleBroken); ok {
		f := itself(&c.Meta, cronJobInvalid, h.Reason, h.Last)
		f.Edge = h.Reason + "/" + strconv.FormatInt(h.Last.UnixNano(), 10)
		f.Explain = byEvents("The schedule of the CronJob is not understood", h, label("field", "spec.schedule"), label("value", c.Schedule))
		e.add(&c.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeCronJob(c *facts.CronJob, t *thing) {
	e.judgeSchedule(c)
	if c.Suspended && !c.Deleted.IsZero() {
		return
	}
	if c.Suspended {
		f := itself(&c.Meta, cronJobSuspended, "Suspended", c.SuspendedSince)
		f.Earliest = firstTime(c.LastScheduled, c.Created)
		f.Explain = inState("CronJob "+c.Name+" is suspended", "spec.suspend", "true")
		e.add(&c.Meta, f, undated)
		return
	}
	e.judgeMissed(c, t)
}

// judgeMissed says from when on a CronJob has missed its next run.
func (e *evaluation) judgeMissed(c *facts.CronJob, t *thing) {
	from := firstTime(c.LastScheduled, c.Created)
	s, err := schedule.Parse(c.Schedule, c.Zone)
	if err != nil || from.IsZero() || !c.Deleted.IsZero() {
		return
	}
	next := s.Next(from)
	if next.IsZero() {
		return
	}
	slack := c.Deadline
	if after := s.Next(next); !after.IsZero() {
		slack = max(slack, after.Sub(next))
	}
	f := itself(&c.Meta, cronJobMissed, "MissedSchedule", next.Add(slack))
	// A schedule that was changed, or resumed, begins anew.
	if m, ok := t.memory.(*specMemory); ok && m.changed.After(next) {
		f.Since = s.Next(m.changed).Add(slack)
	}
	_, blocked := e.ask(c.Ref, &stillActive)
	if c.Forbid && (c.Active > 0 || blocked) {
		f.Severity = telemetry.SeverityInfo
		f.Reason = "JobAlreadyActive"
	}
	what := fmt.Sprintf("CronJob %s should have run at %s", c.Name, stampOf(next))
	f.Explain = inState(what, "status.lastScheduleTime", stampOf(c.LastScheduled), label("schedule", c.Schedule), label("due", stampOf(next)))
	if h, ok := e.ask(c.Ref, &missed); ok {
		f.Reason = h.Reason
		f.Explain = byEvents(what, h, label("schedule", c.Schedule), label("due", stampOf(next)))
	}
	e.add(&c.Meta, f, sinceCreated)
}
