// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Load is what /proc/loadavg says.
type Load struct {
	// Known is false when it could not be read.
	Known bool
	// Load1, Load5 and Load15 are averages over so many minutes.
	Load1, Load5, Load15 float64
	// Threads is how many there are, of all processes and of the kernel.
	Threads Number
}

// parseLoad reads /proc/loadavg, such as "3.63 2.91 2.49 7/108 19992". Own,
// because procfs leaves out the threads.
func parseLoad(b []byte) (l Load) {
	for _, to := range [...]*float64{&l.Load1, &l.Load5, &l.Load15} {
		var field []byte
		field, b = nextField(b)
		v, ok := parseDecimal(field)
		if !ok {
			return Load{}
		}
		*to = v
	}
	tasks, rest := nextField(b)
	if len(rest) == 0 {
		return Load{} // torn
	}
	l.Known = true
	if _, threads, ok := bytes.Cut(tasks, []byte{'/'}); ok {
		l.Threads = numberField(threads)
	}
	return l
}

// loadPerCore is the load by CPUs that are online; ok is false without any.
func loadPerCore(load float64, cores int) (float64, bool) {
	if cores <= 0 {
		return 0, false
	}
	return load / float64(cores), true
}

func (b *builder) load(l *Load, s *Stat) {
	if !l.Known {
		return
	}
	b.add(telemetry.MetricLoad1, "", l.Load1)
	b.add(telemetry.MetricLoad5, "", l.Load5)
	b.add(telemetry.MetricLoad15, "", l.Load15)
	if v, ok := loadPerCore(l.Load1, len(s.Cores)); ok && s.HasAllCores {
		b.add(telemetry.MetricLoadPerCore, "", v)
	}
}
