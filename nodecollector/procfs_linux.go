// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/sysfs"
)

// thermalZones lists the thermal zones of a /sys.
func thermalZones(sys string) []zone {
	tree, err := sysfs.NewFS(sys)
	if err != nil {
		return nil
	}
	stats, err := tree.ClassThermalZoneStats()
	if err != nil {
		return nil
	}
	zones := make([]zone, 0, len(stats))
	for i := range stats {
		zones = append(zones, zone{name: stats[i].Name, kind: stats[i].Type})
	}
	return zones
}

// sysctl reads a setting that is one number, such as kernel.pid_max.
func sysctl(proc, name string) Number {
	tree, err := procfs.NewFS(proc)
	if err != nil {
		return Number{}
	}
	values, err := tree.SysctlInts(name)
	if err != nil || len(values) != 1 || values[0] < 0 {
		return Number{}
	}
	return Number{uint64(values[0]), true} //nolint:gosec // not negative
}
