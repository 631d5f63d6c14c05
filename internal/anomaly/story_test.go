// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var start = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// story drives an engine by a controlled clock, as its caller does with one timer,
// and keeps what it tells.
type story struct {
	t      *testing.T
	engine *anomaly.Engine
	now    time.Time
	told   []string
	open   following
}

// begin starts with what there is before the engine.
func begin(t *testing.T, there ...facts.Object) *story {
	t.Helper()
	s := &story{t: t, engine: anomaly.New(anomaly.Options{Now: start}), now: start, open: following{}}
	s.sync(there...)
	return s
}

func (s *story) sync(there ...facts.Object) {
	s.t.Helper()
	for _, o := range there {
		if early := s.engine.Observe(o, s.now); len(early) > 0 {
			s.t.Errorf("told before everything was seen: %v", early)
		}
	}
	s.hear(s.engine.Synced(s.now))
}

func (s *story) hear(transitions []anomaly.Transition) {
	s.t.Helper()
	for i := range transitions {
		t := &transitions[i]
		if err := t.Validate(); err != nil {
			s.t.Errorf("%s of %s cannot travel: %v", t.State, t.Rule, err)
		}
		s.open.take(s.t, t)
		// What has to be exceeded is, a nanosecond later.
		line := fmt.Sprintf("%s %s %s %s", t.At.Sub(start).Truncate(time.Microsecond), t.State, t.Severity, t.Rule)
		if t.Object.Name != "" {
			line += " " + t.Object.Name
		}
		if t.Count != 1 && t.State != telemetry.AnomalyCleared {
			line += fmt.Sprintf(" x%d", t.Count)
		}
		s.told = append(s.told, line+ofThreshold(t))
	}
}

// at lets time pass until so long after the start.
func (s *story) at(after time.Duration) *story {
	s.t.Helper()
	end := start.Add(after)
	for {
		due := s.engine.Due()
		if due.IsZero() || due.After(end) {
			break
		}
		if due.Before(s.now) {
			s.t.Fatalf("due at %s, which is before %s", due.Sub(start), s.now.Sub(start))
		}
		s.now = due
		s.hear(s.engine.Advance(s.now))
		if next := s.engine.Due(); !next.IsZero() && !next.After(s.now) {
			s.t.Fatalf("still due at %s", next.Sub(start))
		}
	}
	s.now = end
	return s
}

func (s *story) see(objects ...facts.Object) *story {
	s.t.Helper()
	for _, o := range objects {
		s.hear(s.engine.Observe(o, s.now))
	}
	return s
}

func (s *story) lose(objects ...facts.Object) *story {
	s.t.Helper()
	for _, o := range objects {
		s.hear(s.engine.Forget(o.About().Ref, s.now))
	}
	return s
}

// wants compares with what was told so far.
func (s *story) wants(told ...string) {
	s.t.Helper()
	if diff := cmp.Diff(told, s.told); diff != "" {
		s.t.Errorf("told (-want +got):\n%s", diff)
	}
}

func metaOf(kind, namespace, name string) facts.Meta {
	return facts.Meta{Ref: facts.Ref{Kind: kind, Namespace: namespace, Name: name}, UID: "uid-" + kind + "-" + name, Created: start.Add(-24 * time.Hour)}
}

func condition(kind, status, reason string, since time.Duration) facts.Condition {
	return facts.Condition{Type: kind, Status: status, Reason: reason, Since: start.Add(since)}
}

// podOf is a running pod of Deployment web.
func podOf(name string, change func(*facts.Pod)) *facts.Pod {
	p := &facts.Pod{
		Meta: metaOf(facts.KindPod, "default", name), TemplateHash: "5d4f", Node: "node-1", Phase: facts.PhaseRunning,
		Started:    start.Add(-24 * time.Hour),
		Conditions: []facts.Condition{condition("Ready", facts.True, "", -time.Hour)},
		Containers: []facts.Container{{Name: "web", Image: "registry.example.com/web:1", Ready: true, Started: true}},
	}
	p.Owner = facts.Owner{Kind: facts.KindReplicaSet, Name: "web-5d4f", UID: "uid-rs"}
	if change != nil {
		change(p)
	}
	return p
}

// waits makes the container of a pod wait.
func waits(reason string, restarts int32, ended time.Duration) func(*facts.Pod) {
	return func(p *facts.Pod) {
		c := &p.Containers[0]
		c.Ready, c.Restarts, c.Waiting = false, restarts, facts.Waiting{Reason: reason}
		if restarts > 0 {
			c.Last = &facts.Termination{Reason: "Error", ExitCode: 1, Started: start.Add(ended - 2*time.Second), Finished: start.Add(ended)}
		}
		p.Conditions = []facts.Condition{condition("Ready", facts.False, "ContainersNotReady", ended)}
	}
}

// runs makes the container of a pod run again after it had ended.
func runs(reason string, restarts int32, ended time.Duration, code int32) func(*facts.Pod) {
	return func(p *facts.Pod) {
		c := &p.Containers[0]
		c.Restarts = restarts
		c.Last = &facts.Termination{Reason: reason, ExitCode: code, Finished: start.Add(ended)}
		p.Conditions = []facts.Condition{condition("Ready", facts.True, "", ended)}
	}
}

func workload(kind, name string, desired, ready int32) *facts.Workload {
	return &facts.Workload{
		Meta: metaOf(kind, "default", name), Desired: desired, Current: desired, Updated: desired, Ready: ready, Available: ready,
	}
}

func replicaSet() *facts.Workload {
	w := workload(facts.KindReplicaSet, "web-5d4f", 3, 3)
	w.Owner = facts.Owner{Kind: facts.KindDeployment, Name: "web", UID: "uid-deployment"}
	return w
}

func nodeOf(name string, conditions ...facts.Condition) *facts.Node {
	if len(conditions) == 0 {
		conditions = []facts.Condition{condition("Ready", facts.True, "KubeletReady", -24*time.Hour)}
	}
	return &facts.Node{
		Meta: metaOf(facts.KindNode, "", name), Conditions: conditions, BootID: "boot-1", KubeletVersion: "v1.37.2",
		Pods: 110, CPUMillis: 4000, MemoryBytes: 16 << 30,
	}
}

func eventOf(about *facts.Meta, reason, message string, count int32, last time.Duration) *facts.Event {
	return &facts.Event{
		Meta:      metaOf(facts.KindEvent, "default", about.Name+"."+reason),
		Regarding: about.Ref, Reason: reason, Message: message, Warning: true, Count: count, First: start.Add(last), Last: start.Add(last),
	}
}
