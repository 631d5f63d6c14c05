// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// parseUptime reads /proc/uptime: seconds since boot, and of idleness. The boot
// time of /proc/stat is not used: it wobbles by a second. procfs does not read it.
func parseUptime(b []byte) (seconds float64, ok bool) {
	field, rest := nextField(b)
	if len(rest) == 0 {
		return 0, false // torn
	}
	return parseDecimal(field)
}

// parseBootID reads /proc/sys/kernel/random/boot_id, a UUID. procfs does not.
func parseBootID(b []byte) (string, bool) {
	id := bytes.TrimSpace(b)
	if len(id) == 0 || len(id) > telemetry.MaxUID {
		return "", false
	}
	for _, c := range id {
		switch {
		case c == '-', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return "", false
		}
	}
	return string(id), true
}
