// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Temperature is what a sensor says, in degrees Celsius.
type Temperature struct {
	// Label names the sensor on this node, such as "coretemp/Core 0".
	Label string
	// Chip and Sensor are how node_exporter names a sensor of hwmon; for a thermal
	// zone Chip is empty, Sensor its number and Type its type.
	Chip, Sensor, Type string
	// Celsius is what it says.
	Celsius float64
	// Critical is what the sensor calls critical, when HasCritical is true.
	Critical    float64
	HasCritical bool
}

// parseMillidegrees reads a file of millidegrees and returns degrees.
func parseMillidegrees(b []byte) (celsius float64, ok bool) {
	field, _ := nextField(bytes.TrimSpace(b))
	n, ok := parseSigned(field)
	return float64(n) / 1000, ok
}

func (b *builder) temperatures(list []Temperature) {
	for i := range list {
		t := &list[i]
		b.add(telemetry.MetricTemperature, t.Label, t.Celsius)
		if t.HasCritical {
			b.add(telemetry.MetricTemperatureCritical, t.Label, t.Critical)
		}
	}
}
