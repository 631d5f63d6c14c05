// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/eventlog"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// ofCluster begins a finding about the cluster, or one part of it.
func ofCluster(f Finding, part string) (*facts.Meta, Finding) {
	f.Group = Group{Kind: facts.KindCluster, Name: part}
	f.Object = telemetry.ObjectRef{Kind: facts.KindCluster, Name: part}
	f.Hold = RuleHold
	return &facts.Meta{Ref: facts.Ref{Kind: facts.KindCluster, Name: part}}, f
}

func (e *evaluation) judgeCluster() {
	t := &e.w.totals
	var over [2]bool
	if !e.partial(facts.KindNode, clusterOvercommitted) && !e.partial(facts.KindPod, clusterOvercommitted) {
		over = t.over()
	}
	var since [2]time.Time
	if (over[0] || over[1]) && e.w.dating() {
		since = e.w.overSince()
	}
	for i, r := range []struct {
		name       string
		asked, has int64
	}{{"cpu", t.cpuMillis, t.cpuRoom}, {"memory", t.memBytes, t.memRoom}} {
		if !over[i] {
			continue
		}
		meta, f := ofCluster(Finding{Key: Key{Rule: clusterOvercommitted}, Reason: "Overcommitted", Earliest: since[i]}, r.name)
		f.Explain = inState(fmt.Sprintf("Pods request %s of the %s that is left when the largest node fails", percent(float64(r.asked), float64(r.has)), r.name),
			"requests."+r.name, strconv.FormatInt(r.asked, 10), label("room", strconv.FormatInt(r.has, 10)), label("nodes", strconv.Itoa(len(t.nodes))))
		e.add(meta, f, sinceCreated)
	}
	e.judgeSkew()
}

func (e *evaluation) judgeSkew() {
	const (
		behind = 3
		many   = 2
	)
	var minors []int
	for minor := range e.w.totals.minors {
		if minor > 0 {
			minors = append(minors, minor)
		}
	}
	if len(minors) == 0 {
		return
	}
	slices.Sort(minors)
	server := 0
	if t := e.w.things[clusterRef]; t != nil {
		if c, ok := t.object.(*facts.Cluster); ok {
			server = minorOf(c.Version)
		}
	}
	// The first that is too old is enough, or the third that differs.
	var reason string
	concerned, enough := minors, many
	switch {
	case server > 0 && minors[0] < server-behind:
		reason = "KubeletTooOld"
		concerned, enough = slices.DeleteFunc(slices.Clone(minors), func(minor int) bool { return minor >= server-behind }), 0
	case len(minors) > many:
		reason = "ManyKubeletVersions"
	default:
		return
	}
	meta, f := ofCluster(Finding{Key: Key{Rule: versionSkew}, Reason: reason}, facts.ClusterName)
	if e.w.dating() {
		f.Earliest = e.w.minorSince(concerned, enough)
	}
	f.Explain = inState(fmt.Sprintf("Kubelets have the minor versions %v", minors), "status.nodeInfo.kubeletVersion", fmt.Sprint(minors), label("apiServerMinor", strconv.Itoa(server)))
	e.add(meta, f, sinceCreated)
}

func (e *evaluation) judgeEventStorm(k eventlog.Kind) {
	s, ok := e.w.events.Storm(k, e.now)
	if !ok {
		return
	}
	meta, f := ofCluster(Finding{Key: Key{Rule: eventStorm}, Reason: k.Reason, Since: e.now, Until: s.Until}, k.Reason)
	f.Group.Namespace, f.Group.Name, f.Group.Part = k.Namespace, "", k.Reason
	f.Object.Namespace = k.Namespace
	f.Explain = func() Explanation {
		return Explanation{
			Message: fmt.Sprintf("%.0f Warning events %s within 5 minutes, %.1f are usual; the last is about %s: %s", s.Count, k.Reason, s.Usual, s.Regarding, Redact(s.Message)),
			Evidence: evidenceOf(label("event", k.Reason), label("eventCount", fmt.Sprintf("%.0f", s.Count)), label("usual", fmt.Sprintf("%.1f", s.Usual)),
				label("eventMessage", Redact(s.Message)), label("object", s.Regarding.String())),
		}
	}
	e.add(meta, f, sinceCreated)
}

// overQuotaRef stands for the events of a namespace about exceeded quotas.
func overQuotaRef(namespace string) facts.Ref {
	return facts.Ref{Kind: "OverQuota", Namespace: namespace}
}

// overQuota says that something could not be created lately because of a quota, or
// of one that was not named.
func (w *World) overQuota(quota facts.Ref, now time.Time) bool {
	last := w.exceeded[quota]
	quota.Name = ""
	last = latestTime(last, w.exceeded[quota])
	return !last.IsZero() && now.Sub(last) < overQuota.Window
}

// quotaIn finds the name in "exceeded quota: compute, requested: pods=1".
func quotaIn(message string) string {
	_, rest, _ := strings.Cut(message, "exceeded quota: ")
	name, _, ok := strings.Cut(rest, ",")
	if !ok {
		return ""
	}
	return strings.TrimSpace(name)
}

// noteQuota remembers an event about an exceeded quota.
func (w *World) noteQuota(o *facts.Event, now time.Time) {
	if !slices.Contains(overQuota.Reasons, o.Reason) || !overQuota.Message(o.Message) {
		return
	}
	at := firstTime(o.Last, now)
	quota := facts.Ref{Kind: facts.KindQuota, Namespace: o.Regarding.Namespace, Name: quotaIn(o.Message)}
	first := now.Sub(w.exceeded[quota]) >= overQuota.Window
	if at.After(w.exceeded[quota]) {
		w.exceeded[quota] = at
	}
	if first {
		w.notify(overQuotaRef(o.Regarding.Namespace))
	}
}

const controlPlaneWarning = 7 * 24 * time.Hour

func (e *evaluation) judgeExpiry(x *facts.Expiry) {
	if x.NotAfter.IsZero() {
		return
	}
	meta, f := ofCluster(Finding{Key: Key{Rule: controlPlaneCert}, Reason: "CertificateExpiring", Since: x.NotAfter.Add(-controlPlaneWarning)}, x.Name)
	f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, Since: x.NotAfter.Add(-24 * time.Hour)}}
	f.Explain = inState(fmt.Sprintf("The certificate of %s ends at %s", x.Name, stampOf(x.NotAfter)), "notAfter", stampOf(x.NotAfter))
	e.add(meta, f, sinceCreated)
}

func (e *evaluation) judgeAPIServer(a *facts.APIServer) {
	var reason, field, value string
	switch {
	case a.P99 > time.Second:
		reason, field, value = "Slow", "p99", a.P99.String()
	case a.ErrorRatio > 0.01:
		reason, field, value = "Failing", "5xx", percent(a.ErrorRatio, 1)
	case !a.NotReadySince.IsZero():
		reason, field, value = "NotReady", "/readyz", "failing since "+stampOf(a.NotReadySince)
	default:
		return
	}
	meta, f := ofCluster(Finding{Key: Key{Rule: apiServerSlow}, Reason: reason, Fresh: freshUntil(a.At, a.Interval)}, facts.ClusterName)
	if !a.NotReadySince.IsZero() {
		f.Escalations = []Escalation{{Severity: telemetry.SeverityCritical, Since: a.NotReadySince, After: time.Minute}}
		// Being down needs no proof of being slow first.
		f.Since, f.Hold = a.NotReadySince, time.Minute
	}
	f.Explain = inState("The API server is slow or fails: "+field+" is "+value, field, value)
	e.add(meta, f, sinceCreated)
}

// freshUntil is until when a measurement is good for.
func freshUntil(at time.Time, interval time.Duration) time.Time { return at.Add(4 * interval) }

func (e *evaluation) judgeManagedCluster(m *facts.ManagedCluster) {
	connected := facts.Find(m.Conditions, "Connected")
	lost := connected != nil && connected.Status != facts.True
	if !lost && m.Heartbeat.IsZero() {
		return // nobody has joined yet
	}
	f := itself(&m.Meta, agentOffline, "AgentOffline", time.Time{})
	if !m.Heartbeat.IsZero() {
		f.Since = m.Heartbeat.Add(3*m.Interval + m.Refresh)
	}
	f.Explain = inState("The agent's last heartbeat was at "+stampOf(m.Heartbeat), "status.lastHeartbeatTime", stampOf(m.Heartbeat))
	if lost && !m.Heartbeat.IsZero() {
		f.Reason = firstOf(connected.Reason, f.Reason)
		f.Since = firstTime(connected.Since, f.Since)
		f.Explain = byCondition("The agent does not report", connected, label("lastHeartbeatTime", stampOf(m.Heartbeat)))
	}
	if !f.Since.IsZero() {
		e.add(&m.Meta, f, sinceCreated)
	}
	if c := facts.Find(m.Conditions, "InventorySynced"); c != nil && c.Status != facts.True && !lost {
		f := itself(&m.Meta, snapshotStale, firstOf(c.Reason, "SnapshotStale"), c.Since)
		f.Hold = 5 * time.Minute
		f.Inhibitors = []Key{{Rule: agentOffline, Group: groupOf(m.Ref)}}
		f.Explain = byCondition("What the agent reports is old", c)
		e.add(&m.Meta, f, sinceCreated)
	}
}

func (e *evaluation) judgeRemoteCommand(r *facts.RemoteCommand) {
	// Without a state nobody has taken notice of it, and nobody is late.
	if r.Finished || r.State == "" || r.Deadline.IsZero() {
		return
	}
	f := itself(&r.Meta, commandStuck, firstOf(r.State, "Unfinished"), r.Deadline)
	f.Explain = inState("The command should have finished by "+stampOf(r.Deadline), "status.state", r.State, label("deadline", stampOf(r.Deadline)))
	e.add(&r.Meta, f, sinceCreated)
}
