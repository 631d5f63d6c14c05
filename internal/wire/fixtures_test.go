// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//nolint:gosec // numbers of test data are small, or meant to overflow
package wire_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
	"github.com/atlhyper/atlhyper/internal/wire"
)

// world makes telemetry that looks like that of a real cluster: few namespaces,
// nodes and images, many pods, random UIDs, values that a collector rounded.
type world struct {
	rng   *rand.Rand
	start time.Time
	sets  map[string][]telemetry.Label
	walk  map[[2]int]float64 // by node and series
}

func newWorld(seed uint64) *world {
	return &world{
		rng:   rand.New(rand.NewPCG(seed, 1)),
		start: time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC),
		sets:  map[string][]telemetry.Label{},
		walk:  map[[2]int]float64{},
	}
}

const alphabet = "bcdfghjklmnpqrstvwxz2456789"

func (w *world) suffix(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[w.rng.IntN(len(alphabet))]
	}
	return string(b)
}

func (w *world) uid() string {
	a, b := w.rng.Uint64(), w.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

func (*world) app(i int) (namespace, app, node string) {
	return fmt.Sprintf("team-%02d", i%12), fmt.Sprintf("service-%03d", i%60), fmt.Sprintf("ip-10-4-%d-%d.eu-central-1.compute.internal", i%5, i%20)
}

func (w *world) records(stream telemetry.Stream, n int) []telemetry.Record {
	records := make([]telemetry.Record, n)
	for i := range records {
		payload, at := w.payload(stream, i)
		records[i] = telemetry.Record{Seq: uint64(i + 1), Time: at, Payload: payload}
	}
	return records
}

func (w *world) batch(stream telemetry.Stream, n int) *telemetry.Batch {
	return new(telemetry.NewBatch(stream, telemetry.Epoch(w.start.UnixMilli()), w.records(stream, n)))
}

func (w *world) payload(stream telemetry.Stream, i int) (telemetry.Payload, time.Time) {
	at := w.start.Add(time.Duration(i) * 137 * time.Millisecond)
	switch stream {
	case telemetry.StreamInventory:
		return w.pod(i), at
	case telemetry.StreamAnomalies:
		return w.anomaly(i, at), at
	case telemetry.StreamEvents:
		return w.event(i, at), at
	case telemetry.StreamNodeMetrics:
		at = w.start.Add(time.Duration(i/20) * 15 * time.Second)
		return w.sample(i), at
	case telemetry.StreamSLI:
		s := w.slice(i)
		end := s.End()
		return s, end
	default:
		return w.output(i), at
	}
}

func (w *world) labels(app, hash string) []telemetry.Label {
	if w.sets[hash] == nil {
		w.sets[hash], _ = telemetry.Labels(map[string]string{
			"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app, "app.kubernetes.io/managed-by": "Helm",
			"app.kubernetes.io/version": "1.42.7", "pod-template-hash": hash, "helm.sh/chart": app + "-3.1.0",
		}, telemetry.MaxLabels, telemetry.MaxLabelValue)
	}
	return w.sets[hash]
}

func (w *world) pod(i int) *telemetry.ObjectDelta {
	namespace, app, node := w.app(i)
	hash := fmt.Sprintf("%xf%x", 0x7d9f8c6b5+i%60, i%60)
	attributes, _ := telemetry.Labels(map[string]string{
		telemetry.AttributeImage:    "registry.example.com/" + namespace + "/" + app + ":1.42.7",
		telemetry.AttributePodIP:    fmt.Sprintf("10.42.%d.%d", i%20, i/20%250),
		telemetry.AttributeQOSClass: "Burstable",
	}, telemetry.MaxAttributes, telemetry.MaxLabelValue)
	delta := &telemetry.ObjectDelta{
		Op: telemetry.OpUpsert, Kind: telemetry.KindPod, Namespace: namespace, Name: app + "-" + hash + "-" + w.suffix(5), UID: w.uid(),
		ResourceVersion: 81234567 + uint64(i)*3, Generation: 1,
		Owner: telemetry.ObjectRef{Kind: "ReplicaSet", Name: app + "-" + hash, UID: fmt.Sprintf("0b5e4c7a-1d2f-4a6b-8c9d-%012x", i%60)},
		Node:  node, Phase: "Running", Ready: telemetry.ReadyTrue, Created: w.start.Add(-time.Duration(w.rng.IntN(40*86400)) * time.Second),
		Labels: w.labels(app, hash),
		Numbers: []telemetry.Number{
			{ID: telemetry.NumberContainers, Value: 2},
			{ID: telemetry.NumberReadyContainers, Value: 2},
			{ID: telemetry.NumberCPURequestMillis, Value: 250},
			{ID: telemetry.NumberMemoryRequestBytes, Value: 512 << 20},
			{ID: telemetry.NumberMemoryLimitBytes, Value: 1 << 30},
		},
		Attributes: attributes,
	}
	if i%17 == 0 {
		delta.Ready, delta.Reason, delta.Restarts = telemetry.ReadyFalse, "CrashLoopBackOff", int32(w.rng.IntN(50))
		delta.Message = "back-off 5m0s restarting failed container=" + app + " pod=" + delta.Name
	}
	return delta
}

func (w *world) anomaly(i int, at time.Time) *telemetry.AnomalyTransition {
	namespace, app, node := w.app(i)
	return &telemetry.AnomalyTransition{
		Rule: "PodCrashLoopBackOff", Fingerprint: fmt.Sprintf("%016x", w.rng.Uint64()), State: telemetry.AnomalyState(1 + i%4),
		Severity: telemetry.Severity(1 + i%3),
		Object:   telemetry.ObjectRef{Kind: "Pod", Namespace: namespace, Name: app + "-7d9f8c6b5-" + w.suffix(5), UID: w.uid()},
		Owner:    telemetry.ObjectRef{Kind: "Deployment", Namespace: namespace, Name: app, UID: w.uid()}, TemplateHash: "7d9f8c6b5",
		Container: app, Node: node, Reason: "CrashLoopBackOff", Message: "container " + app + " restarted " + strconv.Itoa(3+i) + " times",
		Count: uint32(1 + i%3), Since: at.Add(-time.Minute),
		Evidence: []telemetry.Label{{Key: "exitCode", Value: "137"}, {Key: "image", Value: "registry.example.com/" + app + ":1.42.7"}, {Key: "restarts", Value: strconv.Itoa(i)}},
	}
}

func (w *world) event(i int, at time.Time) *telemetry.Event {
	namespace, app, node := w.app(i)
	pod := app + "-7d9f8c6b5-" + w.suffix(5)
	return &telemetry.Event{
		UID: w.uid(), ResourceVersion: 81234567 + uint64(i)*2, Namespace: namespace, Name: fmt.Sprintf("%s.18%014x", pod, w.rng.Uint64()>>8),
		Type: telemetry.EventWarning, Reason: [...]string{"BackOff", "Unhealthy", "FailedScheduling"}[i%3],
		Message:   "Back-off restarting failed container " + app + " in pod " + pod + "_" + namespace,
		Regarding: telemetry.ObjectRef{Kind: "Pod", Namespace: namespace, Name: pod, UID: w.uid()}, FieldPath: "spec.containers{" + app + "}",
		Controller: "kubelet", Host: node, Count: uint32(1 + w.rng.IntN(500)), FirstSeen: at.Add(-time.Hour).Truncate(time.Second),
		LastSeen: at.Truncate(time.Second),
	}
}

// nodeSeries is what a node of 8 cores, 3 filesystems, 2 disks and 2 interfaces has.
var nodeSeries = func() []telemetry.Series {
	var series []telemetry.Series
	instances := map[string][]string{
		"": {""}, "core": {"0", "1", "2", "3", "4", "5", "6", "7"}, "mount": {"/", "/var/lib/kubelet", "/var/lib/containerd"},
		"device": {"nvme0n1", "nvme1n1"}, "interface": {"eth0", "eth1"}, "sensor": {"coretemp/Package id 0"},
	}
	for m := range telemetry.Metrics() {
		for _, label := range instances[m.Label] {
			series = append(series, telemetry.Series{Metric: m.ID, Label: label})
		}
	}
	return series
}()

// sample is one of 20 nodes.
func (w *world) sample(i int) *telemetry.NodeSample {
	_, _, node := w.app(i % 20)
	s := &telemetry.NodeSample{
		Node: node, BootID: fmt.Sprintf("5b1c9d1e-77a0-4c55-9d0e-%012x", i%20), CollectorSeq: uint64(1000 + i/20), Interval: 15*time.Second + time.Duration(w.rng.IntN(9))*time.Millisecond,
		Scope: telemetry.NetworkHost, Series: nodeSeries, Values: make([]float64, len(nodeSeries)),
	}
	for j, series := range nodeSeries {
		m, _ := series.Metric.Lookup()
		s.Values[j] = m.Round(w.value(m, i%20, j))
	}
	return s
}

// value is a walk around a mean of its own for each series of each node; sizes and
// limits are constant, and errors are rare.
func (w *world) value(m telemetry.Metric, node, series int) float64 {
	key := [2]int{node, series}
	mean := 1 + float64((node*31+series*17)%97)
	switch {
	case m.Unit == telemetry.UnitBool || m.Unit == telemetry.UnitCode:
		return 1
	case strings.Contains(m.Name, "error") || strings.Contains(m.Name, "drop") || strings.Contains(m.Name, "kills") || strings.Contains(m.Name, "swap"):
		return float64(w.rng.IntN(50) / 49)
	case m.Label == "mount" && m.Unit == telemetry.UnitBytes, strings.Contains(m.Name, "max"), strings.HasSuffix(m.Name, "total_bytes"), m.Name == "cpu_cores":
		return math.Round(mean) * (1 << 30)
	case m.Unit == telemetry.UnitBytes:
		w.walk[key] = 0.95*w.walk[key] + 0.05*w.rng.ExpFloat64()
		return 4096 * math.Round((1+0.1*w.walk[key])*mean*20000)
	case m.Unit == telemetry.UnitPercent:
		w.walk[key] = 0.8*w.walk[key] + 0.2*w.rng.ExpFloat64()
		return min(100, w.walk[key]*mean/4)
	default:
		w.walk[key] = 0.8*w.walk[key] + 0.2*w.rng.ExpFloat64()
		return w.walk[key] * mean * float64(1+series%7*100)
	}
}

var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func (w *world) slice(i int) *telemetry.SLISlice {
	namespace, app, _ := w.app(i)
	s := &telemetry.SLISlice{
		Route:   telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: namespace, Name: app, Route: namespace + "-" + app + "-example-com@kubernetes"},
		Start:   w.start.Add(time.Duration(i/60) * time.Minute),
		Latency: telemetry.Histogram{Bounds: bounds, Counts: make([]float64, len(bounds)+1)}, ExpectedScrapes: 4, GoodScrapes: 4,
	}
	for j := range s.Latency.Counts {
		s.Latency.Counts[j] = float64(w.rng.IntN(900) / (1 + j*j))
		s.Total += s.Latency.Counts[j]
		s.SumSeconds += s.Latency.Counts[j] * bounds[min(j, len(bounds)-1)] * w.rng.Float64()
	}
	s.Classes[telemetry.Class5xx] = min(s.Total, float64(w.rng.IntN(3)))
	s.Classes[telemetry.Class2xx] = s.Total - s.Classes[telemetry.Class5xx]
	s.Bad = s.Classes[telemetry.Class5xx]
	return s
}

func (w *world) output(i int) *telemetry.CommandOutput {
	data := make([]byte, 0, 2000)
	for len(data) < 1900 {
		data = fmt.Appendf(data, "%s level=info msg=\"handled request\" status=200 duration=%dms id=%x\n", w.start.Format(time.RFC3339Nano), w.rng.IntN(900), w.rng.Uint32())
	}
	return &telemetry.CommandOutput{
		CommandUID: "7f0e2a4c-59ab-4a53-9d6e-1c2b3a495867", ExecutionID: "agent-5d8/1", Index: uint32(i), Source: telemetry.OutputStdout, Data: data,
	}
}

// fixture is a small batch of a stream with a gap at its head and one in the
// middle, the same in every run.
func fixture(stream telemetry.Stream) *telemetry.Batch {
	w := newWorld(7)
	records := w.records(stream, 5)
	for i := range records {
		records[i].Seq += 40
		if stream == telemetry.StreamNodeMetrics {
			records[i].Payload = fixedSample(i)
		}
	}
	records[0] = telemetry.Record{Seq: 41, Time: w.start.Add(5 * time.Millisecond), Payload: &telemetry.Gap{
		From: 1, To: 41, Reason: telemetry.GapEpochLost, Start: w.start.Add(-time.Hour), End: w.start,
	}}
	records[3].Seq, records[4].Seq = 50, 51
	w.enrich(stream, records[3:])
	records[2] = telemetry.Record{Seq: 49, Time: w.start.Add(5 * time.Second), Payload: &telemetry.Gap{
		From: 43, To: 49, Reason: telemetry.GapSpoolFull, Dropped: 7,
	}}
	return new(telemetry.NewBatch(stream, 1790000000000, records))
}

// fixedSample does not depend on the table of metrics, which grows. It has a value
// of each mode: whole, with few and with many digits, huge, and unchanged.
func fixedSample(i int) *telemetry.NodeSample {
	x := float64(i)
	return &telemetry.NodeSample{
		Node: "node-" + strconv.Itoa(i/4), BootID: "5b1c9d1e-77a0-4c55-9d0e-000000000001", CollectorSeq: uint64(1000 + i),
		Interval: 15*time.Second + time.Duration(i)*time.Millisecond, Scope: telemetry.NetworkHost,
		Series: []telemetry.Series{{Metric: 1}, {Metric: 11, Label: "0"}, {Metric: 11, Label: "1"}, {Metric: 14}, {Metric: 40}, {Metric: 70, Label: "/"}, {Metric: 139}, {Metric: 9999, Label: "new"}},
		Values: []float64{45.25 + x, 100 - x/100, 0, 0.1 * x, 33558237184, 1e300, -0.000125 * x, math.Pi},
	}
}

// enrich fills fields that the first records of a stream leave empty.
func (w *world) enrich(stream telemetry.Stream, last []telemetry.Record) {
	switch stream {
	case telemetry.StreamInventory:
		last[0].Payload = &telemetry.ObjectDelta{
			Op: telemetry.OpUpsert, Kind: telemetry.KindDeployment, Namespace: "shop", Name: "checkout", UID: "not-a-uuid", ResourceVersion: 99, Generation: 4,
			ObservedGeneration: 3, Phase: "Failed", Reason: "ProgressDeadlineExceeded", Message: "ReplicaSet \"checkout-6f\" has timed out",
			Ready: telemetry.ReadyFalse, Restarts: 3, Replicas: telemetry.Replicas{Desired: 6, Current: 5, Updated: 4, Ready: 3, Available: 2, Failed: 1},
			Created: w.start.Add(-time.Millisecond), Deleted: w.start.Add(90 * time.Second),
			Owner: telemetry.ObjectRef{Kind: "Application", Namespace: "argo", Name: "shop", UID: "also-not-one"},
		}
	case telemetry.StreamCommandOutput:
		end := last[1].Payload.(*telemetry.CommandOutput)
		end.Last, end.Truncated, end.Source = true, true, telemetry.OutputStderr
	default:
	}
}

func newCodec(tb testing.TB) (*wire.Encoder, *wire.Decoder) {
	tb.Helper()
	enc, err := wire.NewEncoder(1)
	if err != nil {
		tb.Fatal(err)
	}
	dec, err := wire.NewDecoder(1)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(dec.Close)
	return enc, dec
}

func encode(tb testing.TB, enc *wire.Encoder, b *telemetry.Batch) []byte {
	tb.Helper()
	data, err := enc.Append(nil, b)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
