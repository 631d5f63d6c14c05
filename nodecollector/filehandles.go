// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "github.com/atlhyper/atlhyper/internal/telemetry"

// Share is how much of something limited is used.
type Share struct {
	// Used and Limit may each be absent.
	Used, Limit Number
}

// percent is used by limit; ok is false when one of them is unknown.
func (s Share) percent() (float64, bool) {
	if !s.Used.Known || !s.Limit.Known || s.Limit.Value == 0 {
		return 0, false
	}
	return percentOf(float64(s.Used.Value), float64(s.Limit.Value)), true
}

// share adds a share as three metrics.
func (b *builder) share(s Share, used, limit, percent telemetry.MetricID) {
	if s.Used.Known {
		b.add(used, "", float64(s.Used.Value))
	}
	if s.Limit.Known {
		b.add(limit, "", float64(s.Limit.Value))
	}
	if v, ok := s.percent(); ok {
		b.add(percent, "", v)
	}
}

// parseFileHandles reads /proc/sys/fs/file-nr: allocated, free of these (always 0
// since Linux 2.6) and the limit. procfs does not read it.
func parseFileHandles(b []byte) (s Share) {
	var n [3]uint64
	line, _, ok := nextLine(b)
	if !ok || uints(line, n[:]) < len(n) || n[1] > n[0] {
		return Share{}
	}
	return Share{Used: Number{n[0] - n[1], true}, Limit: Number{n[2], true}}
}

func (b *builder) fileHandles(s Share) {
	b.share(s, telemetry.MetricFileDescriptors, telemetry.MetricFileDescriptorsMax, telemetry.MetricFileDescriptorsPercent)
}
