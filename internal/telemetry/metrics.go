// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import (
	"fmt"
	"iter"
	"math"
	"strconv"
)

// MetricID is the number of a metric on the wire and in the store. Numbers are
// never given to another metric. A number that this version does not know is
// kept: a newer collector may speak to an older hub.
type MetricID uint16

// MetricKind says how values of a metric are read.
type MetricKind uint8

// The kinds of metrics.
const (
	// KindGauge is a value of the moment, or a rate over the sample's interval.
	// Averages and maxima over time make sense.
	KindGauge MetricKind = 1
	// KindCounter is a total since boot. Only increases make sense; a decrease
	// is a reset.
	KindCounter MetricKind = 2
)

var metricKinds = names{KindGauge: "gauge", KindCounter: "counter"}

// String returns "gauge" or "counter".
func (k MetricKind) String() string { return metricKinds.name(uint8(k)) }

// MarshalText returns the kind's name.
func (k MetricKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Unit is the unit of a metric's values.
type Unit string

// The units.
const (
	// UnitPercent is from 0 to 100.
	UnitPercent Unit = "percent"
	// UnitBytes is bytes.
	UnitBytes Unit = "bytes"
	// UnitBytesPerSecond is bytes per second.
	UnitBytesPerSecond Unit = "bytes/s"
	// UnitBitsPerSecond is bits per second.
	UnitBitsPerSecond Unit = "bits/s"
	// UnitPerSecond is events per second.
	UnitPerSecond Unit = "1/s"
	// UnitSeconds is seconds.
	UnitSeconds Unit = "seconds"
	// UnitMilliseconds is milliseconds.
	UnitMilliseconds Unit = "milliseconds"
	// UnitCelsius is degrees Celsius.
	UnitCelsius Unit = "celsius"
	// UnitCount is a number of things, or a plain number.
	UnitCount Unit = "count"
	// UnitBool is 0 for no and 1 for yes.
	UnitBool Unit = "bool"
	// UnitCode is a number with a meaning of its own, see the metric.
	UnitCode Unit = "code"
)

// Metric describes one metric.
type Metric struct {
	// ID is the metric's number.
	ID MetricID
	// Name is the metric's name in snake case, as rules and queries use it.
	Name string
	// Unit of its values.
	Unit Unit
	// Kind says how values are read.
	Kind MetricKind
	// Label is what the series of the metric differ by: "core", "mount",
	// "device", "interface" or "sensor"; empty when a node has one series.
	Label string
	// Decimals is how many digits after the point a collector keeps. Rounding
	// costs nothing that anybody can see, and a rounded number takes a third
	// of the space.
	Decimals int
}

// Round returns v with as many digits after the point as the metric keeps.
func (m Metric) Round(v float64) float64 {
	scale := math.Pow10(m.Decimals)
	if rounded := math.Round(v*scale) / scale; !math.IsInf(rounded, 0) && !math.IsNaN(rounded) {
		return rounded
	}
	return v
}

// Lookup returns the metric with a number, if this version knows it.
func (id MetricID) Lookup() (Metric, bool) {
	if int(id) >= len(metricsByID) || metricsByID[id].ID == 0 {
		return Metric{}, false
	}
	return metricsByID[id], true
}

// String returns the metric's name, or its number when it is unknown.
func (id MetricID) String() string {
	if m, ok := id.Lookup(); ok {
		return m.Name
	}
	return strconv.Itoa(int(id))
}

// MarshalText returns the metric's name.
func (id MetricID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *MetricID) UnmarshalText(text []byte) error {
	if m, ok := MetricNamed(string(text)); ok {
		*id = m.ID
		return nil
	}
	value, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return fmt.Errorf("parsing the metric: %q is no known name and no number", text)
	}
	*id = MetricID(value)
	return nil
}

// MetricNamed returns the metric with a name.
func MetricNamed(name string) (Metric, bool) {
	for m := range Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// Metrics yields every metric, in the order of their numbers.
func Metrics() iter.Seq[Metric] {
	return func(yield func(Metric) bool) {
		for i := range metricsByID {
			if m := metricsByID[i]; m.ID != 0 && !yield(m) {
				return
			}
		}
	}
}

// Codes of MetricFSError.
const (
	// FSErrorNone: the filesystem answered.
	FSErrorNone = 0
	// FSErrorPermission: the collector may not look at it; not a fault.
	FSErrorPermission = 1
	// FSErrorTimeout: it did not answer in time.
	FSErrorTimeout = 2
	// FSErrorOther: it answered with another error.
	FSErrorOther = 3
)

// Bits of MetricFSRole.
const (
	// FSRoleNode: the kubelet's filesystem, from which it evicts.
	FSRoleNode = 1
	// FSRoleImage: the container runtime's filesystem.
	FSRoleImage = 2
)
