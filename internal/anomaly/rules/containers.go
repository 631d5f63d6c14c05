// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// waitingRules says which rule knows a reason for waiting. A reason with the rule
// "" is part of every start.
var waitingRules = map[string]catalogue.ID{
	"":                           "",
	"ContainerCreating":          "",
	"PodInitializing":            "",
	crashLoopBackOff:             podCrashLoop,
	"ErrImagePull":               podImagePull,
	"ImagePullBackOff":           podImagePull,
	"InvalidImageName":           podInvalidImage,
	"ErrImageNeverPull":          podNeverPull,
	"ImageInspectError":          podImageInspect,
	"SignatureValidationFailed":  podImageInspect,
	"RegistryUnavailable":        podImageInspect,
	"ImageVolumeMountFailed":     podImageInspect,
	"CreateContainerConfigError": podConfigError,
	"CreateContainerError":       podCreateError,
	"PreCreateHookError":         podCreateError,
	"RROUnsupported":             podCreateError,
	"RunContainerError":          podRunError,
	"PreStartHookError":          podRunError,
	"PostStartHookError":         podRunError,
}

var throttled = []string{"toomanyrequests", "429 Too Many Requests", "pull QPS exceeded"}

const crashLoopBackOff = "CrashLoopBackOff"

// crashLoops is how many restarts make a loop.
const crashLoops = 2

func (e *evaluation) judgeContainer(p *facts.Pod, c *facts.Container) {
	e.judgeWaiting(p, c)
	e.judgeInit(p, c)
	if c.Ended != nil {
		e.judgeEnd(p, c, c.Ended, true)
	}
	if c.Last != nil {
		e.judgeEnd(p, c, c.Last, false)
	}
}

func (e *evaluation) judgeWaiting(p *facts.Pod, c *facts.Container) {
	id, known := waitingRules[c.Waiting.Reason]
	if known && id == "" {
		return
	}
	if !known {
		id = podWaitingOther
	}
	e.explained.pending = true
	if id == podCrashLoop && c.Restarts < crashLoops {
		return
	}
	f := e.container(p, c, id, c.Waiting.Reason)
	f.Earliest = unreadySince(p, c)
	f.Explain = func() Explanation { return explainWaiting(p, c) }
	switch id {
	case podCrashLoop:
		f.Since = crashingSince(c)
		if looping := loopingSince(p, c); e.w.options.Snapshot && !looping.IsZero() {
			f.Since = looping
		}
		f.Escalations = e.ownerDown(f.Owner)
	case podImagePull:
		f.Escalations = e.ownerDown(f.Owner)
		f.Inhibitors = []Key{throttledKey(c)}
	}
	e.add(&p.Meta, f, sinceCreated)
	for _, word := range throttled {
		if strings.Contains(c.Waiting.Message, word) {
			e.pullThrottled(p, c, word)
			return
		}
	}
}

// crashingSince is when the container ended for which it waits now.
func crashingSince(c *facts.Container) time.Time {
	if c.Last == nil {
		return time.Time{}
	}
	return c.Last.Finished
}

// loopingSince is by when the loop had begun: the instance that ended last was
// itself a restart, and the pod may not have been ready ever since.
func loopingSince(p *facts.Pod, c *facts.Container) time.Time {
	since := conditionSince(facts.Is(p.Conditions, "Ready", facts.False))
	if c.Last != nil {
		for _, t := range []time.Time{c.Last.Finished, c.Last.Started} {
			if since.IsZero() || !t.IsZero() && t.Before(since) {
				since = t
			}
		}
	}
	return since
}

// unreadySince is by when at the earliest a container can have begun to wait.
func unreadySince(p *facts.Pod, c *facts.Container) time.Time {
	kind := "Ready"
	if c.Role == facts.RoleInit || c.Role == facts.RoleSidecar {
		kind = "Initialized"
	}
	return firstTime(conditionSince(facts.Is(p.Conditions, kind, facts.False)), conditionSince(facts.Is(p.Conditions, "Ready", facts.False)), p.Started)
}

// container begins a finding about a container.
func (e *evaluation) container(p *facts.Pod, c *facts.Container, id catalogue.ID, reason string) Finding {
	f := e.ownedBy(p, id, reason)
	f.Group.Part = c.Name
	f.Container = c.Name
	return f
}

// ownedBy begins a finding about a pod.
func (e *evaluation) ownedBy(p *facts.Pod, id catalogue.ID, reason string) Finding {
	top := e.topOwner(p.Ref, p.Owner, p.TemplateHash)
	f := Finding{
		Key:    Key{Rule: id, Group: Group{Namespace: p.Namespace, Kind: top.Kind, Name: top.Name, Hash: p.TemplateHash}},
		Object: p.Telemetry(p.UID), Owner: top, Node: p.Node, Reason: reason, Hold: RuleHold,
	}
	if top.Kind == facts.KindPod && top.Name == p.Name {
		f.Owner = telemetry.ObjectRef{}
	}
	return f
}

// ownerDown escalates when no replica of the top owner has been ready for long.
func (e *evaluation) ownerDown(top telemetry.ObjectRef) []Escalation {
	switch top.Kind {
	case facts.KindDeployment, facts.KindStatefulSet, facts.KindDaemonSet, facts.KindReplicaSet:
	default:
		return nil
	}
	ref := facts.Ref{Kind: top.Kind, Namespace: top.Namespace, Name: top.Name}
	if w, ok := e.look(ref).(*facts.Workload); !ok || !w.Down() {
		return nil
	}
	return []Escalation{{Severity: telemetry.SeverityCritical, After: 5 * time.Minute, Down: ref}}
}

func (e *evaluation) pullThrottled(p *facts.Pod, c *facts.Container, word string) {
	f := e.ownedBy(p, podPullThrottled, "PullThrottled")
	f.Key = throttledKey(c)
	f.Container = c.Name
	f.Earliest = unreadySince(p, c)
	f.Explain = func() Explanation {
		x := explainWaiting(p, c)
		x.Message = fmt.Sprintf("Pulls from %s are limited (%s): %s", registryOf(c.Image), word, Redact(c.Waiting.Message))
		x.Evidence = append(x.Evidence, label("registry", registryOf(c.Image)))
		return x
	}
	e.add(&p.Meta, f, sinceCreated)
}

func throttledKey(c *facts.Container) Key {
	return Key{Rule: podPullThrottled, Group: Group{Kind: "Registry", Name: registryOf(c.Image)}}
}

// dockerHub is the registry of images without a host, and of these hosts.
const dockerHub = "docker.io"

var dockerHubs = []string{"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}

// registryOf returns the host of an image reference.
func registryOf(image string) string {
	host, _, found := strings.Cut(image, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return dockerHub
	}
	if host = strings.ToLower(host); slices.Contains(dockerHubs, host) {
		return dockerHub
	}
	return host
}

// judgeInit finds init containers that keep a pod from starting.
func (e *evaluation) judgeInit(p *facts.Pod, c *facts.Container) {
	if c.Role != facts.RoleInit && (c.Role != facts.RoleSidecar || c.Started) {
		return
	}
	initialized := facts.Is(p.Conditions, "Initialized", facts.False)
	if initialized == nil || initialized.Reason != "ContainersNotInitialized" {
		return
	}
	looping := loops(c)
	if !looping && (c.Ended == nil || c.Ended.ExitCode == 0) {
		return
	}
	e.explained.init, e.explained.pending = true, true
	reason := crashLoopBackOff
	if !looping {
		reason = firstOf(c.Ended.Reason, "Error")
	}
	f := e.container(p, c, podInitFailed, reason)
	f.Earliest = firstTime(initialized.Since, p.Started)
	if looping {
		f.Since = crashingSince(c)
	} else {
		f.Since = c.Ended.Finished
	}
	if e.w.options.Snapshot {
		f.Since = time.Time{}
	}
	f.Explain = func() Explanation { return explainWaiting(p, c) }
	e.add(&p.Meta, f, sinceCreated)
}

// judgeEnd judges how a container ended, current being its state rather than that
// of its last instance.
func (e *evaluation) judgeEnd(p *facts.Pod, c *facts.Container, end *facts.Termination, current bool) {
	// In a snapshot the state stands for itself, however old, unless the pod has
	// ended and will have it for ever.
	stands := e.w.options.Snapshot && current && !p.Finished()
	switch {
	case end.Reason == oomKilled:
		f := e.ended(p, c, end, current, podOOMKilled, end.Reason)
		if stands {
			f.Edge = ""
		}
		e.add(&p.Meta, f, sinceCreated)
	case end.ExitCode == 137 && p.Deleted.IsZero() && p.Reason == "" &&
		!e.w.events.Near(p.Ref, p.UID, []string{"Killing", "Unhealthy"}, end.Finished, 30*time.Second):
		f := e.ended(p, c, end, current, podSigkill, "Signal9")
		// Until then an event may explain it.
		f.NotBefore = f.Since.Add(30 * time.Second)
		if stands {
			f.Edge = ""
		}
		e.add(&p.Meta, f, sinceCreated)
	}
	if current && (end.Reason == "StartError" || end.Reason == "ContainerCannotRun") {
		e.explained.failed = true
		f := e.ended(p, c, end, current, podRunError, end.Reason)
		f.Edge = ""
		e.add(&p.Meta, f, sinceCreated)
	}
}

const oomKilled = "OOMKilled"

// ended begins a finding about an instance of a container that ended, current being
// its state rather than that of its last instance.
func (e *evaluation) ended(p *facts.Pod, c *facts.Container, end *facts.Termination, current bool, id catalogue.ID, reason string) Finding {
	f := e.container(p, c, id, reason)
	f.Since = end.Finished
	if f.Since.IsZero() {
		f.Since = e.now
	}
	f.Edge = p.UID + "/" + c.Name + "/" + strconv.FormatInt(end.Finished.Unix(), 10)
	if end.Finished.IsZero() {
		f.Edge = p.UID + "/" + c.Name + "/" + strconv.Itoa(int(c.Restarts))
	}
	f.Explain = func() Explanation {
		x := Explanation{Message: fmt.Sprintf("Container %s ended with %s, exit code %d", c.Name, firstOf(end.Reason, "no reason"), end.ExitCode)}
		field, value := ".state.terminated", end.Reason
		if !current {
			field = ".lastState.terminated"
		}
		if id == podSigkill {
			field, value = field+".exitCode", strconv.Itoa(int(end.ExitCode))
		} else {
			field += ".reason"
		}
		x.Evidence = append(endOf(end), containerEvidence(c)...)
		x.Evidence = append(x.Evidence, label("field", statusesOf(c.Role)+"[name="+c.Name+"]"+field), label("value", value))
		x.Evidence = evidenceOf(x.Evidence...)
		return x
	}
	return f
}

func explainWaiting(p *facts.Pod, c *facts.Container) Explanation {
	reason := c.Waiting.Reason
	field := "state.waiting.reason"
	if reason == "" && c.Ended != nil {
		reason, field = c.Ended.Reason, "state.terminated.reason"
	}
	message := fmt.Sprintf("Container %s of pod %s is in %s", c.Name, p.Name, reason)
	if c.Waiting.Message != "" {
		message += ": " + c.Waiting.Message
	}
	end := c.Last
	if c.Ended != nil {
		end = c.Ended
	}
	evidence := append(containerEvidence(c),
		label("field", statusesOf(c.Role)+"[name="+c.Name+"]."+field), label("value", reason), label("message", Redact(c.Waiting.Message)))
	if end != nil {
		message += fmt.Sprintf("; it last ended with %s, exit code %d", firstOf(end.Reason, "no reason"), end.ExitCode)
		evidence = append(evidence, endOf(end)...)
	}
	return Explanation{Message: Redact(message), Evidence: evidenceOf(evidence...)}
}

func statusesOf(role facts.Role) string {
	switch role {
	case facts.RoleInit, facts.RoleSidecar:
		return "status.initContainerStatuses"
	case facts.RoleEphemeral:
		return "status.ephemeralContainerStatuses"
	default:
		return "status.containerStatuses"
	}
}

func containerEvidence(c *facts.Container) []telemetry.Label {
	labels := []telemetry.Label{label("image", c.Image), label("restartCount", strconv.Itoa(int(c.Restarts))), label("imagePullPolicy", c.PullPolicy)}
	if c.MemoryLimit > 0 {
		labels = append(labels, label("memoryLimitBytes", strconv.FormatInt(c.MemoryLimit, 10)))
	}
	return labels
}

func endOf(end *facts.Termination) []telemetry.Label {
	labels := []telemetry.Label{
		label("exitCode", strconv.Itoa(int(end.ExitCode))), label("endReason", end.Reason),
		label("endMessage", Redact(end.Message)), label("finishedAt", stampOf(end.Finished)),
	}
	if end.Signal != 0 {
		labels = append(labels, label("signal", strconv.Itoa(int(end.Signal))))
	}
	return labels
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
