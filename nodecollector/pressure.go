// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Resource is what tasks may wait for.
type Resource int

// The resources with pressure stall information.
const (
	PressureCPU Resource = iota
	PressureMemory
	PressureIO
	PressureIRQ
	resources
)

var resourceFiles = [resources]string{"pressure/cpu", "pressure/memory", "pressure/io", "pressure/irq"}

// pressureMetrics are the metrics for some and full. Interrupts have no some.
var pressureMetrics = [resources][2]telemetry.MetricID{
	PressureCPU:    {telemetry.MetricPressureCPUSome, telemetry.MetricPressureCPUFull},
	PressureMemory: {telemetry.MetricPressureMemorySome, telemetry.MetricPressureMemoryFull},
	PressureIO:     {telemetry.MetricPressureIOSome, telemetry.MetricPressureIOFull},
	PressureIRQ:    {0, telemetry.MetricPressureIRQFull},
}

// Pressure is the stall times of one resource since boot, in microseconds.
type Pressure struct {
	// At is when it was read, since the collector began.
	At time.Duration
	// Some is time in which some task waited, Full in which every task did.
	Some, Full Number
}

// parsePressure reads a file of /proc/pressure. Own, because procfs scans it with
// reflection.
func parsePressure(b []byte) (p Pressure) {
	for {
		line, rest, ok := nextLine(b)
		if !ok {
			return p
		}
		b = rest
		kind, values := nextField(line)
		_, total, ok := bytes.Cut(values, []byte(" total="))
		if !ok {
			continue
		}
		switch string(kind) {
		case "some":
			p.Some = numberField(total)
		case "full":
			p.Full = numberField(total)
		}
	}
}

// stallPercent is how much of an interval was spent stalled. The kernel brings its
// totals up to date every 2 s at most, so that an interval may get a little of the
// one before: no more than all of it counts.
func stallPercent(prev, cur uint64, seconds float64) (float64, bool) {
	rate, ok := perSecond(prev, cur, seconds)
	return min(100*rate/1e6, 100), ok
}

func (b *builder) pressure(prev, cur *[resources]Pressure) {
	for r := range cur {
		for i, pair := range [...][2]Number{{prev[r].Some, cur[r].Some}, {prev[r].Full, cur[r].Full}} {
			seconds, ok := between(pair[0].Known && pair[1].Known, prev[r].At, cur[r].At)
			if !ok || pressureMetrics[r][i] == 0 {
				continue
			}
			if v, ok := stallPercent(pair[0].Value, pair[1].Value, seconds); ok {
				b.add(pressureMetrics[r][i], "", v)
			}
		}
	}
}
