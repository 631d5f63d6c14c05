// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomalies

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// line is what a sink got, in words, of when it is and when it came.
type line struct {
	at   time.Time
	came time.Time
	text string
	t    *telemetry.AnomalyTransition
}

// recorder is a Sink that writes down what it gets.
type recorder struct {
	mu sync.Mutex
	// before, when set, may refuse a call.
	before func(values []telemetry.Payload) error
	lines  []line
	calls  int
}

func (r *recorder) Append(stream telemetry.Stream, at time.Time, values ...telemetry.Payload) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if stream != telemetry.StreamAnomalies || at.IsZero() || len(values) == 0 {
		r.lines = append(r.lines, line{text: fmt.Sprintf("an Append of %d values to %s at %s", len(values), stream, at)})
	}
	if r.before != nil {
		if err := r.before(values); err != nil {
			return err
		}
	}
	for _, value := range values {
		switch v := value.(type) {
		case *telemetry.AnomalyTransition:
			text := fmt.Sprintf("%s %s %s", v.State, v.Rule, v.Object.Name)
			if err := v.Validate(); err != nil {
				text += " " + err.Error()
			}
			r.lines = append(r.lines, line{at: at, came: time.Now(), text: text, t: v})
		case *telemetry.Gap:
			r.lines = append(r.lines, line{at: at, text: fmt.Sprintf("gap %s of %d", v.Reason, v.Dropped)})
		default:
			r.lines = append(r.lines, line{at: at, text: fmt.Sprintf("a %T", v)})
		}
	}
	return nil
}

// refuse makes the sink fail, or work again.
func (r *recorder) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = func([]telemetry.Payload) error { return err }
}

func (r *recorder) all() []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// texts returns what came in, and forgets it.
func (r *recorder) texts() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var texts []string
	for _, l := range r.lines {
		texts = append(texts, l.text)
	}
	r.lines = nil
	return texts
}

// agent is a running Anomalies in a bubble.
type agent struct {
	*Anomalies
	t    *testing.T
	sink *recorder
	file string
	stop func()
}

// start runs an Anomalies over a file; there is what it sees first.
func start(t *testing.T, file string, there ...facts.Object) *agent {
	t.Helper()
	a := begin(t, file)
	for _, o := range there {
		a.Observe(o)
	}
	a.Synced([]string{facts.KindSecret})
	synctest.Wait()
	return a
}

// begin is start without a listing.
func begin(t *testing.T, file string) *agent {
	t.Helper()
	return beginWith(t, Options{File: file})
}

// beginWith is begin with more options.
func beginWith(t *testing.T, options Options) *agent {
	t.Helper()
	sink := &recorder{}
	options.Sink = sink
	anomalies, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- anomalies.Run(ctx) }()
	a := &agent{Anomalies: anomalies, t: t, sink: sink, file: options.File}
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run failed: %v", err)
		}
	})
	t.Cleanup(a.stop)
	return a
}

// after lets time pass.
func (a *agent) after(d time.Duration) *agent {
	a.t.Helper()
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
	return a
}

func (a *agent) see(objects ...facts.Object) *agent {
	for _, o := range objects {
		a.Observe(o)
	}
	synctest.Wait()
	return a
}

// wants compares with what was told since the last call.
func (a *agent) wants(texts ...string) *agent {
	a.t.Helper()
	if diff := cmp.Diff(texts, a.sink.texts()); diff != "" {
		a.t.Errorf("told (-want +got):\n%s", diff)
	}
	return a
}

func fileIn(t *testing.T) string { return filepath.Join(t.TempDir(), "state", "anomalies.json") }

// bubble runs a test in a synctest bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func about(kind, name string) facts.Meta {
	m := facts.Meta{Ref: facts.Ref{Kind: kind, Namespace: "default", Name: name}, UID: "uid-" + name, Created: time.Now().Add(-24 * time.Hour)}
	if kind == facts.KindNode {
		m.Namespace = ""
	}
	return m
}

// pod is one of a Deployment; a status may be "" for well, "OOMKilled" or a reason
// to wait.
func pod(name, status string) *facts.Pod {
	p := &facts.Pod{
		Meta: about(facts.KindPod, name), TemplateHash: "5d4f", Node: "node-1", Phase: facts.PhaseRunning, Started: time.Now().Add(-24 * time.Hour),
		Conditions: []facts.Condition{{Type: "Ready", Status: facts.True}},
		Containers: []facts.Container{{Name: "web", Image: "web:1", Ready: true, Started: true}},
	}
	p.Owner = facts.Owner{Kind: facts.KindReplicaSet, Name: "web-5d4f", UID: "uid-rs"}
	c := &p.Containers[0]
	switch status {
	case "":
	case "OOMKilled":
		c.Restarts, c.Last = 1, &facts.Termination{Reason: status, ExitCode: 137, Finished: time.Now()}
	default:
		c.Ready, c.Waiting, c.Restarts = false, facts.Waiting{Reason: status}, 3
		c.Last = &facts.Termination{Reason: "Error", ExitCode: 1, Finished: time.Now()}
	}
	return p
}

func node(name string, conditions ...string) *facts.Node {
	n := &facts.Node{Meta: about(facts.KindNode, name), BootID: "boot-1", KubeletVersion: "v1.37.2", Pods: 110}
	n.Conditions = []facts.Condition{{Type: "Ready", Status: facts.True, Since: time.Now().Add(-time.Hour)}}
	for _, kind := range conditions {
		n.Conditions = append(n.Conditions, facts.Condition{Type: kind, Status: facts.True, Since: time.Now()})
	}
	return n
}

func claim(name, phase string) *facts.Claim {
	return &facts.Claim{Meta: about(facts.KindClaim, name), Phase: phase, Volume: "v"}
}

// transition is one that travels.
func transition(fingerprint string, state telemetry.AnomalyState, at time.Time) anomaly.Transition {
	return anomaly.Transition{At: at, AnomalyTransition: telemetry.AnomalyTransition{
		Rule: "R", Fingerprint: fingerprint, State: state, Severity: telemetry.SeverityWarning, Count: 1, Since: at,
		Object: telemetry.ObjectRef{Kind: "Pod", Name: fingerprint},
	}}
}

func contains(lines []string, part string) bool {
	return slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, part) })
}
