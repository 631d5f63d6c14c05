// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import "github.com/atlhyper/atlhyper/internal/telemetry"

// parseConntrack reads the number of tracked connections out of
// /proc/PID/net/stat/nf_conntrack: the first word, in hexadecimal, of the line of
// any CPU. The sysctl nf_conntrack_count is that of the reader's own network
// namespace. Own, because procfs parses the 17 numbers of every CPU for this one.
func parseConntrack(b []byte) Number {
	header, rest, ok := nextLine(b)
	if first, _ := nextField(header); !ok || string(first) != "entries" {
		return Number{}
	}
	line, _, ok := nextLine(rest)
	if !ok {
		return Number{}
	}
	field, _ := nextField(line)
	n, ok := parseHex(field)
	return Number{n, ok}
}

func (b *builder) conntrack(s Share) {
	b.share(s, telemetry.MetricConntrack, telemetry.MetricConntrackMax, telemetry.MetricConntrackPercent)
}
