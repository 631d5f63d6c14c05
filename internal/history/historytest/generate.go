// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package historytest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// Records numbers payloads from first on, each at the time that at returns for
// its place.
func Records(first uint64, payloads []telemetry.Payload, at func(i int) time.Time) []telemetry.Record {
	records := make([]telemetry.Record, len(payloads))
	for i, p := range payloads {
		records[i] = telemetry.Record{Seq: first + uint64(i), Time: at(i).UTC().Truncate(time.Millisecond), Payload: p}
	}
	return records
}

// Event returns an event that happened count times.
func Event(uid string, rv uint64, count uint32, last time.Time) *telemetry.Event {
	return &telemetry.Event{
		UID: uid, ResourceVersion: rv, Namespace: "shop", Name: "web." + uid, Type: telemetry.EventWarning, Reason: "BackOff",
		Message:   "Back-off restarting failed container web in pod " + uid,
		Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-" + uid, UID: "pod-" + uid},
		FieldPath: "spec.containers{web}", Controller: "kubelet", Host: "node-1", Count: count,
		FirstSeen: last.Add(-time.Minute).UTC().Truncate(time.Millisecond), LastSeen: last.UTC().Truncate(time.Millisecond),
	}
}

// Pod returns a pod as it looks after its restarts.
func Pod(namespace, name, uid string, restarts int32) *telemetry.ObjectDelta {
	return &telemetry.ObjectDelta{
		Op: telemetry.OpUpsert, Kind: telemetry.KindPod, Namespace: namespace, Name: name, UID: uid, ResourceVersion: 100 + uint64(restarts), //nolint:gosec // small
		Owner: telemetry.ObjectRef{Kind: "ReplicaSet", Name: "web", UID: "rs"}, Node: "node-1", Phase: "Running", Ready: telemetry.ReadyTrue,
		Restarts: restarts, Created: time.UnixMilli(1_700_000_000_000).UTC(), Labels: []telemetry.Label{{Key: "app", Value: "web"}},
		Numbers:    []telemetry.Number{{ID: telemetry.NumberContainers, Value: 2}, {ID: telemetry.NumberMemoryLimitBytes, Value: math.MaxInt64}},
		Attributes: []telemetry.Label{{Key: telemetry.AttributeImage, Value: "registry.example/web:1"}},
	}
}

// Marker returns a record of a snapshot or a deletion.
func Marker(op telemetry.DeltaOp, name, uid string) *telemetry.ObjectDelta {
	d := &telemetry.ObjectDelta{Op: op, Kind: telemetry.KindPod}
	if op == telemetry.OpDelete {
		d.Namespace, d.Name, d.UID = "shop", name, uid
	}
	return d
}

// Transition returns a transition of an anomaly.
func Transition(rule, fingerprint string, state telemetry.AnomalyState, severity telemetry.Severity) *telemetry.AnomalyTransition {
	return &telemetry.AnomalyTransition{
		Rule: rule, Fingerprint: fingerprint, State: state, Severity: severity,
		Object: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-1", UID: "1"}, Owner: telemetry.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "web"},
		Reason: "CrashLoopBackOff", Message: "the container web keeps crashing", Count: 1, Since: time.UnixMilli(1_700_000_000_000).UTC(),
		Evidence: []telemetry.Label{{Key: "exitCode", Value: "137"}},
	}
}

// Node makes the samples of one node look like those of a machine: totals that
// never change, sizes in pages, rates that wander.
type Node struct {
	name   string
	random *rand.Rand
	series []telemetry.Series
	state  []float64
	seq    uint64
}

// NewNode returns a node with about 120 series.
func NewNode(name string, seed uint64) *Node {
	n := &Node{name: name, random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // test data
	for m := range telemetry.Metrics() {
		labels := []string{""}
		switch m.Label {
		case "core":
			labels = []string{"0", "1", "2", "3"}
		case "mount":
			labels = []string{"/", "/var/lib/kubelet"}
		case "device":
			labels = []string{"nvme0n1"}
		case "interface":
			labels = []string{"eth0"}
		case "sensor":
			labels = []string{"cpu"}
		}
		for _, label := range labels {
			n.series = append(n.series, telemetry.Series{Metric: m.ID, Label: label})
			n.state = append(n.state, 50)
		}
	}
	return n
}

// Next returns the next sample.
func (n *Node) Next() *telemetry.NodeSample {
	n.seq++
	values := make([]float64, len(n.series))
	for i, s := range n.series {
		m, _ := s.Metric.Lookup()
		n.state[i] = math.Abs(n.state[i] + n.random.NormFloat64()*2)
		v := n.state[i]
		switch {
		case m.Kind == telemetry.KindCounter, m.Unit == telemetry.UnitBool, m.Unit == telemetry.UnitCode, m.ID == telemetry.MetricMemoryTotal,
			m.ID == telemetry.MetricFSSize, m.ID == telemetry.MetricFSInodes, m.ID == telemetry.MetricCPUCores:
			v = 4
		case m.Unit == telemetry.UnitBytes:
			v = math.Round(v*1000) * 4096
		case m.Unit == telemetry.UnitBytesPerSecond:
			v = math.Round(v * 1000)
		case m.ID == telemetry.MetricUptime:
			v = float64(1_000_000 + 15*n.seq)
		}
		values[i] = m.Round(v)
	}
	return &telemetry.NodeSample{
		Node: n.name, BootID: "0a8e6f0e-7f4c-4c0e-9d0e-8a7f5f3a1b2c", CollectorSeq: n.seq, Interval: 15 * time.Second,
		Scope: telemetry.NetworkHost, Series: n.series, Values: values,
	}
}

// Slice returns an SLI slice of a route.
func Slice(route telemetry.RouteKey, start time.Time, total, bad float64) *telemetry.SLISlice {
	s := &telemetry.SLISlice{
		Route: route, Start: start.UTC(), Total: total, Bad: bad, SumSeconds: total / 8, ExpectedScrapes: 4, GoodScrapes: 4,
		Latency: telemetry.Histogram{Bounds: []float64{0.1, 0.5, 1}, Counts: []float64{total - bad, 0, bad, 0}},
	}
	s.Classes[telemetry.Class2xx], s.Classes[telemetry.Class5xx] = total-bad, bad
	return s
}

func name(prefix string, i int) string { return fmt.Sprintf("%s%04d", prefix, i) }
