// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// evaluation is the judgement of one subject.
type evaluation struct {
	w     *World
	ref   facts.Ref
	now   time.Time
	found []Finding
	needs []facts.Ref
	// unjudged are the rules that too little is known for.
	unjudged []catalogue.ID
	// explained is what rules of a pod have found that others are less precise
	// about.
	explained struct{ pending, failed, init bool }
}

func (e *evaluation) begin(w *World, ref facts.Ref, now time.Time) {
	e.w, e.ref, e.now = w, ref, now
	e.found, e.needs, e.unjudged = e.found[:0], e.needs[:0], e.unjudged[:0]
	e.explained.pending, e.explained.failed, e.explained.init = false, false, false
}

// need says that the subject has to be judged again when a reference changes.
func (e *evaluation) need(ref facts.Ref) {
	if !slices.Contains(e.needs, ref) {
		e.needs = append(e.needs, ref)
	}
}

// look returns another object, nil when it is not there, and needs it.
func (e *evaluation) look(ref facts.Ref) facts.Object {
	e.need(ref)
	if t := e.w.things[ref]; t != nil {
		return t.object
	}
	return nil
}

// partial says that not all objects of a kind are known, so that a rule cannot be
// judged by one that is not there.
func (e *evaluation) partial(kind string, id catalogue.ID) bool {
	if !e.w.partial[kind] {
		return false
	}
	e.unjudged = append(e.unjudged, id)
	return true
}

// ask asks for events about an object.
func (e *evaluation) ask(ref facts.Ref, q *eventlog.Query) (eventlog.Heard, bool) {
	if !e.w.events.Heard(ref) {
		return eventlog.Heard{}, false
	}
	uid, _ := e.w.UID(ref)
	return e.w.events.Ask(ref, uid, q, e.now)
}

// fallback says when a finding began that its object does not date.
type fallback uint8

const (
	// sinceCreated: as far as is known, since the object was made.
	sinceCreated fallback = iota
	// undated: it began some time and is not an anomaly until that is known.
	undated
)

// add adds a finding about an object, completing what is the same for all.
func (e *evaluation) add(meta *facts.Meta, f Finding, dated fallback) {
	if f.Edge != "" && !e.w.options.Horizon.IsZero() && f.Since.Before(e.w.options.Horizon) {
		if f.Rule != podOOMKilled {
			return
		}
		f.Past = true
	}
	if f.Object == (telemetry.ObjectRef{}) {
		f.Object = meta.Telemetry(meta.UID)
	}
	if e.w.options.Snapshot && f.Since.IsZero() {
		f.Guessed = true
		switch {
		case !f.Earliest.IsZero():
			f.Since = f.Earliest
		case dated == undated:
			return
		case !meta.Created.IsZero():
			f.Since = meta.Created
		default:
			f.Since = UnknownStart
		}
	}
	e.found = append(e.found, f)
}

// judge judges everything but pods.
func (e *evaluation) judge(t *thing) {
	switch o := t.object.(type) {
	case *facts.Node:
		e.judgeNode(o, t)
	case *facts.Lease:
		e.judgeLease(o)
	case *facts.Workload:
		e.judgeWorkload(o)
	case *facts.Job:
		e.judgeJob(o)
	case *facts.CronJob:
		e.judgeCronJob(o, t)
	case *facts.Autoscaler:
		e.judgeAutoscaler(o)
	case *facts.DisruptionBudget:
		e.judgeDisruptionBudget(o)
	case *facts.NodeSample:
		e.judgeSample(o, t)
	case *facts.ContainerUsage:
		e.judgeContainerUsage(o, t)
	case *facts.VolumeUsage:
		e.judgeVolumeUsage(o, t)
	default:
		e.judgeMore(o)
	}
}

func (e *evaluation) judgeMore(o facts.Object) {
	switch o := o.(type) {
	case *facts.Claim:
		e.judgeClaim(o)
	case *facts.Volume:
		e.judgeVolume(o)
	case *facts.VolumeAttachment:
		e.judgeAttachment(o)
	case *facts.Service:
		e.judgeService(o)
	case *facts.Ingress:
		e.judgeIngress(o)
	case *facts.Webhooks:
		e.judgeWebhooks(o)
	case *facts.Conditioned:
		e.judgeConditioned(o)
	default:
		e.judgeRest(o)
	}
}

func (e *evaluation) judgeRest(o facts.Object) {
	switch o := o.(type) {
	case *facts.Secret:
		e.judgeSecret(o)
	case *facts.Certificate:
		e.judgeCertificate(o)
	case *facts.SigningRequest:
		e.judgeSigningRequest(o)
	case *facts.Expiry:
		e.judgeExpiry(o)
	case *facts.Cluster:
		e.judgeCluster()
	case *facts.APIServer:
		e.judgeAPIServer(o)
	case *facts.ManagedCluster:
		e.judgeManagedCluster(o)
	case *facts.RemoteCommand:
		e.judgeRemoteCommand(o)
	case *facts.Namespace:
		e.judgeNamespace(o)
	case *facts.Quota:
		e.judgeQuota(o)
	}
}

// judgeSurrogate judges what is no object.
func (e *evaluation) judgeSurrogate(ref facts.Ref) {
	switch ref.Kind {
	case facts.KindCluster:
		e.judgeCluster()
	case KindClusterMetric:
		e.judgeClusterLimits(ref.Name)
	case kindEventStorm:
		e.judgeEventStorm(eventlog.Kind{Namespace: ref.Namespace, Reason: ref.Name})
	case facts.KindNode:
		if e.w.lacks(ref.Kind) {
			e.judgeNodeEvents(&facts.Node{Meta: facts.Meta{Ref: ref}})
		}
	case facts.KindCronJob:
		if e.w.lacks(ref.Kind) {
			e.judgeSchedule(&facts.CronJob{Meta: facts.Meta{Ref: ref}})
		}
	}
}

// topOwner walks the controllers of a pod up to what people manage. A ReplicaSet
// that is not known yet is told by its name and the template hash, so that the
// identity of an anomaly does not depend on the order in which objects come.
func (e *evaluation) topOwner(self facts.Ref, owner facts.Owner, hash string) telemetry.ObjectRef {
	top := telemetry.ObjectRef{Kind: self.Kind, Namespace: self.Namespace, Name: self.Name}
	for range 5 {
		// A static pod belongs to its node, which is not what it is a replica of.
		if owner.Kind == "" || owner.Kind == facts.KindNode {
			return top
		}
		top = telemetry.ObjectRef{Kind: owner.Kind, Namespace: self.Namespace, Name: owner.Name, UID: owner.UID}
		ref := facts.Ref{Kind: owner.Kind, Namespace: self.Namespace, Name: owner.Name}
		switch owner.Kind {
		case facts.KindReplicaSet, facts.KindJob:
		default:
			return top
		}
		next := e.look(ref)
		if next == nil {
			if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" && owner.Kind == facts.KindReplicaSet {
				return telemetry.ObjectRef{Kind: facts.KindDeployment, Namespace: self.Namespace, Name: name}
			}
			return top
		}
		owner = next.About().Owner
	}
	return top
}

// inState explains a finding by one field.
func inState(message, field, value string, more ...telemetry.Label) func() Explanation {
	return func() Explanation {
		return Explanation{Message: Redact(message), Evidence: evidenceOf(append(more, label("field", field), label("value", Redact(value)))...)}
	}
}

// byCondition explains a finding by a condition.
func byCondition(what string, c *facts.Condition, more ...telemetry.Label) func() Explanation {
	return func() Explanation {
		message := what
		if c.Message != "" {
			message += ": " + c.Message
		}
		return Explanation{Message: Redact(message), Evidence: evidenceOf(append(more,
			label("field", "status.conditions[type="+c.Type+"]"), label("value", c.Status),
			label("reason", c.Reason), label("message", Redact(c.Message)), label("since", stampOf(c.Since)))...)}
	}
}

// byEvents explains a finding by events.
func byEvents(what string, h eventlog.Heard, more ...telemetry.Label) func() Explanation {
	return func() Explanation {
		return Explanation{Message: Redact(what + ": " + h.Message), Evidence: evidenceOf(append(more,
			label("event", h.Reason), label("eventMessage", Redact(h.Message)), label("eventCount", strconv.Itoa(int(h.Count))),
			label("eventLast", stampOf(h.Last)))...)}
	}
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func latestTime(times ...time.Time) time.Time {
	var latest time.Time
	for _, t := range times {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// conditionSince is the time of a condition, zero without one.
func conditionSince(c *facts.Condition) time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.Since
}

func percent(part, whole float64) string { return fmt.Sprintf("%.1f %%", 100*part/whole) }

var (
	credentials = regexp.MustCompile(`://[^/@\s:]*:[^/@\s]*@`)
	// A block may lack its beginning or its end where a text was cut.
	keyBlock    = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`)
	keyEnd      = regexp.MustCompile(`(?s)\A.*-----END [A-Z ]*PRIVATE KEY-----`)
	tokens      = regexp.MustCompile(`\b(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|AKIA[0-9A-Z]{16})`)
	assignments = regexp.MustCompile(`(?i)\b(authorization: *(?:bearer|basic) +|(?:[a-z_-]*(?:password|passwd|token|secret|apikey|api_key))["']?\s*[=:]\s*["']?)[^\s"',;&]+`)
)

// Redact takes out what looks like a credential: messages of kubelets and
// registries quote URLs and options, and logs quote anything.
func Redact(s string) string {
	if strings.Contains(s, "PRIVATE KEY-----") {
		s = keyEnd.ReplaceAllString(keyBlock.ReplaceAllString(s, "[redacted]"), "[redacted]")
	}
	if strings.Contains(s, "eyJ") || strings.Contains(s, "AKIA") {
		s = tokens.ReplaceAllString(s, "[redacted]")
	}
	if strings.Contains(s, "://") {
		s = credentials.ReplaceAllString(s, "://[redacted]@")
	}
	if strings.ContainsAny(s, "=:") {
		s = assignments.ReplaceAllString(s, "${1}[redacted]")
	}
	return s
}
