// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"slices"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
)

func isComplete(j *facts.Job) bool { return facts.Is(j.Conditions, "Complete", facts.True) != nil }

func hasFailed(j *facts.Job) bool { return facts.Is(j.Conditions, "Failed", facts.True) != nil }

// jobOf returns the Job that a pod is of, nil when it is of none or the Job is not
// known.
func (e *evaluation) jobOf(p *facts.Pod) *facts.Job {
	if p.Owner.Kind != facts.KindJob {
		return nil
	}
	j, ok := e.look(facts.Ref{Kind: facts.KindJob, Namespace: p.Namespace, Name: p.Owner.Name}).(*facts.Job)
	if !ok || j.UID != "" && p.Owner.UID != "" && j.UID != p.Owner.UID {
		return nil // one of the same name before or after it
	}
	return j
}

// queued says that a pod waits for the turn of its Job.
func (e *evaluation) queued(p *facts.Pod) bool {
	if p.Owner.Kind != facts.KindJob {
		return false
	}
	j := e.jobOf(p)
	return p.Queued || j != nil && j.Queued
}

// settleJob drops what was found about a pod of a Job that has ended: once it is
// complete it does not matter that a try went wrong, and when it has failed, that is
// what is told, and what happened to its pods lately. A pod that does not go is told
// in any case.
func (e *evaluation) settleJob(p *facts.Pod) {
	if len(e.found) == 0 {
		return
	}
	j := e.jobOf(p)
	if j == nil {
		return
	}
	complete, failed := isComplete(j), hasFailed(j) && p.Finished()
	e.found = slices.DeleteFunc(e.found, func(f Finding) bool {
		return f.Rule != podTerminating && (complete || failed && f.Edge == "")
	})
}
