// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package telemetry

import "time"

// NetworkScope says whose network a node sample saw. The numbers are part of the
// wire format.
type NetworkScope uint8

// The scopes.
const (
	// NetworkHost: the interfaces are those of the node.
	NetworkHost NetworkScope = 1
	// NetworkPod: the collector could see its own pod's interfaces only.
	NetworkPod NetworkScope = 2
)

var networkScopes = names{NetworkHost: "host", NetworkPod: "pod"}

// String returns "host" or "pod", "" when unset, or the number when unknown.
func (s NetworkScope) String() string { return networkScopes.name(uint8(s)) }

// MarshalText returns the scope's name.
func (s NetworkScope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *NetworkScope) UnmarshalText(text []byte) error {
	value, err := networkScopes.parse(string(text))
	*s = NetworkScope(value)
	return err
}

// Series is one time series of a node: a metric and, for metrics that a node has
// several of, which one.
type Series struct {
	// Metric is the metric; see Metrics.
	Metric MetricID
	// Label is the instance, of the sort that the metric's Label names: "eth0",
	// "/var/lib/kubelet", "sda". Empty when the metric has one per node.
	Label string
}

// NodeSample is what the collector of one node measured at one moment. It is
// identified by the node, BootID and CollectorSeq: the same three are the same
// sample.
//
// Samples of a node with the same series share the memory of their Series, also
// after decoding. Never change it in place.
type NodeSample struct {
	// Node is the name of the node.
	Node string
	// BootID is the kernel's random ID of the boot.
	BootID string
	// CollectorSeq counts the samples of the collector in this boot, from 1.
	CollectorSeq uint64
	// Interval is the measured monotonic time that rates were taken over, to
	// the millisecond; 0 for the first sample, which has no rates.
	Interval time.Duration
	// Scope says whose network the sample shows; 0 when it shows none.
	Scope NetworkScope
	// Series and Values belong together: Values[i] is the value of Series[i].
	// A series that could not be read is absent. At most MaxValues, each finite.
	Series []Series
	// Values are in the unit of the metric.
	Values []float64
}

func (*NodeSample) payload() {}

// Value returns the value of a series, and whether the sample has it.
func (s *NodeSample) Value(metric MetricID, label string) (float64, bool) {
	for i := range min(len(s.Series), len(s.Values)) {
		if s.Series[i].Metric == metric && s.Series[i].Label == label {
			return s.Values[i], true
		}
	}
	return 0, false
}

// Validate implements Payload. It does not look for series that occur twice;
// the later value of such a series wins.
func (s *NodeSample) Validate() error {
	var c checker
	c.required("node", s.Node, MaxName)
	c.required("bootID", s.BootID, MaxUID)
	if s.CollectorSeq == 0 {
		c.fail("collectorSeq", "is required")
	}
	if s.Interval < 0 {
		c.fail("interval", "is negative")
	}
	c.count("values", len(s.Values), MaxValues)
	if len(s.Series) != len(s.Values) {
		c.fail("values", "%d values for %d series", len(s.Values), len(s.Series))
	}
	if c.err != nil {
		return c.err
	}
	for i := range s.Series {
		if s.Series[i].Metric == 0 {
			c.fail("series.metric", "is required")
		}
		c.text("series.label", s.Series[i].Label, MaxLabelValue)
		c.finite("values", s.Values[i])
		if c.err != nil {
			return c.err
		}
	}
	return nil
}
