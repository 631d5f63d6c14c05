// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "github.com/atlhyper/atlhyper/internal/telemetry"

// processes adds what /proc/stat says of tasks, and threads by how many there may
// be: what /proc/loadavg counts needs no look at every process, and hidepid does
// not hide it.
func (b *builder) processes(prev, cur *Stat, threads Share) {
	if cur.Running.Known {
		b.add(telemetry.MetricProcsRunning, "", float64(cur.Running.Value))
	}
	if cur.Blocked.Known {
		b.add(telemetry.MetricProcsBlocked, "", float64(cur.Blocked.Value))
	}
	b.rate(telemetry.MetricContextSwitches, prev.At, cur.At, prev.ContextSwitches, cur.ContextSwitches, 1)
	b.rate(telemetry.MetricForks, prev.At, cur.At, prev.Forks, cur.Forks, 1)
	b.share(threads, telemetry.MetricThreads, telemetry.MetricPIDMax, telemetry.MetricThreadsPercent)
}
