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
)

var killedByProbe = regexp.MustCompile(`(Liveness|Startup) probe failed|failed (liveness|startup) probe`)

// What is asked of events.
var (
	readinessFailed = eventlog.Query{
		Reasons: []string{"Unhealthy"}, Window: 5 * time.Minute, AtLeast: 3,
		Message: func(m string) bool { return strings.HasPrefix(m, "Readiness probe failed") },
	}
	livenessFailed = eventlog.Query{
		Reasons: []string{"Unhealthy", "Killing"}, Window: 15 * time.Minute, AtLeast: 2,
		Message: killedByProbe.MatchString,
	}
	mountFailed = eventlog.Query{
		Reasons: []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedMountOnFilesystemMismatch"}, Window: 15 * time.Minute,
	}
	sandboxFailed  = eventlog.Query{Reasons: []string{"FailedCreatePodSandBox", "NetworkNotReady"}, Window: 15 * time.Minute}
	scaledUp       = eventlog.Query{Reasons: []string{"TriggeredScaleUp"}, Window: scaleUpWindow}
	systemOOM      = eventlog.Query{Reasons: []string{"SystemOOM", "OOMKilling"}, Window: time.Hour}
	rebooted       = eventlog.Query{Reasons: []string{"Rebooted"}, Window: time.Hour}
	gcFailed       = eventlog.Query{Reasons: []string{"ImageGCFailed", "ContainerGCFailed", "FreeDiskSpaceFailed", "InvalidDiskCapacity"}, Window: 30 * time.Minute, AtLeast: 2}
	createFailed   = eventlog.Query{Reasons: []string{"FailedCreate"}, Window: 10 * time.Minute, AtLeast: 2}
	overQuota      = eventlog.Query{Reasons: []string{"FailedCreate"}, Window: 30 * time.Minute, Message: func(m string) bool { return strings.Contains(m, "exceeded quota") }}
	scheduleBroken = eventlog.Query{Reasons: []string{"UnparseableSchedule", "InvalidSchedule", "UnknownTimeZone", "UnsupportedSchedule"}, Window: time.Hour}
	missed         = eventlog.Query{Reasons: []string{"MissSchedule", "TooManyMissedTimes"}, Window: time.Hour}
	stillActive    = eventlog.Query{Reasons: []string{"JobAlreadyActive"}, Window: time.Hour}
	provisioning   = eventlog.Query{Reasons: []string{"ProvisioningFailed", "FailedBinding", "VolumeMismatch"}, Window: 10 * time.Minute, AtLeast: 2}
	firstConsumer  = eventlog.Query{Reasons: []string{"WaitForFirstConsumer"}, Window: time.Hour}
	claimEvents    = eventlog.Query{Reasons: []string{"ProvisioningFailed", "FailedBinding", "ExternalProvisioning"}, Window: time.Hour}
	resizeFailed   = eventlog.Query{Reasons: []string{"VolumeResizeFailed", "FileSystemResizeFailed"}, Window: time.Hour}
	volumeEvents   = eventlog.Query{Reasons: []string{"VolumeFailedDelete", "VolumeFailedRecycle"}, Window: time.Hour}
	balancer       = eventlog.Query{Reasons: []string{"SyncLoadBalancerFailed", "UpdateLoadBalancerFailed"}, Window: time.Hour}
)

// heard are the reasons for which an object is judged again.
var heard = func() map[string]bool {
	reasons := map[string]bool{}
	for _, q := range []*eventlog.Query{
		&readinessFailed, &livenessFailed, &mountFailed, &sandboxFailed, &scaledUp, &systemOOM, &rebooted, &gcFailed, &createFailed, &overQuota,
		&scheduleBroken, &missed, &stillActive, &provisioning, &firstConsumer, &claimEvents, &resizeFailed, &volumeEvents, &balancer,
	} {
		for _, reason := range q.Reasons {
			reasons[reason] = true
		}
	}
	return reasons
}()

// judgePodEvents finds what only events tell of a pod.
func (e *evaluation) judgePodEvents(p *facts.Pod) {
	for _, probe := range []struct {
		query *eventlog.Query
		id    catalogue.ID
		what  string
	}{
		{&readinessFailed, podReadinessProbe, "The readiness probe fails"},
		{&livenessFailed, podLivenessProbe, "The kubelet restarts the container because of a probe"},
	} {
		h, ok := e.ask(p.Ref, probe.query)
		if !ok {
			continue
		}
		f := e.ownedBy(p, probe.id, "Unhealthy")
		f.Group.Part, f.Container = h.Container, h.Container
		f.Since, f.Until = h.Began, h.Until
		f.Explain = byEvents(probe.what, h)
		e.add(&p.Meta, f, sinceCreated)
	}
}

// judgeRestarts finds containers that restart often without a crash loop.
func (e *evaluation) judgeRestarts(p *pod, o *facts.Pod) {
	const often = 3
	if len(p.recent) == 0 {
		return
	}
	sums := map[string]int32{}
	for _, r := range p.recent {
		sums[r.container] += r.n
	}
	for name, n := range sums {
		if n < often || loopedBefore(o, name) {
			continue
		}
		f := e.ownedBy(o, podRestarting, "Restarting")
		f.Group.Part, f.Container = name, name
		f.Since, f.Until = p.restartSpan(name, often)
		f.Explain = inState(fmt.Sprintf("Container %s of pod %s restarted %d times in 15 minutes", name, o.Name, n),
			"status.containerStatuses[name="+name+"].restartCount", "+"+strconv.Itoa(int(n)))
		e.add(&o.Meta, f, sinceCreated)
	}
}

// restartSpan returns when the restarts of a container began and when fewer than
// n of them are left within the window.
func (p *pod) restartSpan(container string, n int32) (since, until time.Time) {
	left := n
	for _, r := range slices.Backward(p.recent) {
		if r.container != container {
			continue
		}
		since = r.at
		if left > 0 {
			if left -= r.n; left <= 0 {
				until = r.at.Add(restartWindow)
			}
		}
	}
	return since, until
}
