// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/trend"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// sampleMemory is what is remembered of the samples of a node.
type sampleMemory struct {
	boot   string
	seq    uint64
	mounts map[string]*mountMemory
	nets   map[string]*netMemory
	// skews are the last differences between a sample's time and its arrival.
	skews []time.Duration
}

type mountMemory struct {
	// writable is true once the filesystem was seen to be.
	writable bool
	line     trend.Line
}

// netMemory has the packets and errors of the last 2 minutes.
type netMemory struct{ points []netPoint }

type netPoint struct {
	at              time.Time
	packets, errors float64
}

const (
	netWindow = 2 * time.Minute
	skewCount = 5
	// trendBelow is from which part of available space on the trend is watched.
	trendBelow = 0.5
)

func rememberSample(memory any, o *facts.NodeSample) any {
	m, _ := memory.(*sampleMemory)
	if m == nil {
		m = &sampleMemory{mounts: map[string]*mountMemory{}, nets: map[string]*netMemory{}}
	}
	s := o.Sample
	if s.BootID == m.boot && s.CollectorSeq <= m.seq {
		return m
	}
	m.boot, m.seq = s.BootID, s.CollectorSeq
	m.skews = append(m.skews, o.Taken.Sub(o.Received).Abs())
	if len(m.skews) > skewCount {
		m.skews = m.skews[1:]
	}
	for i := range s.Series {
		switch series := s.Series[i]; series.Metric {
		case telemetry.MetricFSReadOnly:
			if s.Values[i] == 0 {
				m.mount(series.Label).writable = true
			}
		case telemetry.MetricFSAvailable:
			if size, ok := s.Value(telemetry.MetricFSSize, series.Label); ok && size > 0 {
				mount := m.mount(series.Label)
				if s.Values[i]/size < trendBelow {
					mount.line.Add(o.Taken, s.Values[i])
				} else {
					mount.line = trend.Line{}
				}
			}
		case telemetry.MetricNetReceivePackets:
			m.addPackets(o, series.Label)
		default:
		}
	}
	return m
}

func (m *sampleMemory) mount(name string) *mountMemory {
	if m.mounts[name] == nil {
		m.mounts[name] = &mountMemory{}
	}
	return m.mounts[name]
}

func (m *sampleMemory) addPackets(o *facts.NodeSample, name string) {
	s := o.Sample
	if physical, ok := s.Value(telemetry.MetricNetPhysical, name); ok && physical == 0 {
		return
	}
	p := netPoint{at: o.Taken}
	seconds := s.Interval.Seconds()
	for _, metric := range []telemetry.MetricID{telemetry.MetricNetReceivePackets, telemetry.MetricNetTransmitPackets} {
		v, _ := s.Value(metric, name)
		p.packets += v * seconds
	}
	for _, metric := range []telemetry.MetricID{telemetry.MetricNetReceiveErrors, telemetry.MetricNetTransmitErrors} {
		v, _ := s.Value(metric, name)
		p.errors += v * seconds
	}
	n := m.nets[name]
	if n == nil {
		n = &netMemory{}
		m.nets[name] = n
	}
	n.points = slices.DeleteFunc(n.points, func(old netPoint) bool { return p.at.Sub(old.at) >= netWindow })
	n.points = append(n.points, p)
}

// measured adds a finding about a node from its sample.
func (e *evaluation) measured(o *facts.NodeSample, id catalogue.ID, part, reason string, metric telemetry.MetricID, value float64, escalations ...Escalation) {
	f := Finding{Key: nodeKey(id, o.Name), Node: o.Name, Reason: reason, Hold: RuleHold, Escalations: escalations}
	f.Group.Part = part
	f.Object = telemetry.ObjectRef{Kind: facts.KindNode, Name: o.Name}
	f.Fresh = freshUntil(o.Received, o.Interval)
	shown := strconv.FormatFloat(value, 'g', 6, 64)
	name := metric.String()
	if part != "" {
		name += "{" + part + "}"
	}
	f.Explain = inState(fmt.Sprintf("%s of node %s is %s", name, o.Name, shown), name, shown)
	e.add(&o.Meta, f, sinceCreated)
}

func (e *evaluation) judgeSample(o *facts.NodeSample, t *thing) {
	m, _ := t.memory.(*sampleMemory)
	e.judgeCollector(o)
	e.judgeNodeLoad(o)
	for i, series := range o.Sample.Series {
		v := o.Sample.Values[i]
		switch series.Metric {
		case telemetry.MetricFSSize:
			e.judgeFilesystem(o, m, series.Label, v)
		case telemetry.MetricFSReadOnly:
			group := nodeGroup(o.Name)
			group.Part = series.Label
			if v != 0 && (m.mount(series.Label).writable || e.w.writable[group]) {
				e.measured(o, nodeFSReadOnly, series.Label, "ReadOnly", series.Metric, v)
			}
		case telemetry.MetricFSError:
			if v == telemetry.FSErrorTimeout {
				e.measured(o, nodeMountStuck, series.Label, "Timeout", series.Metric, v)
			}
		case telemetry.MetricDiskQueue:
			if v > 10 {
				e.measured(o, nodeDisk, series.Label, "QueueDepth", series.Metric, v)
			}
		case telemetry.MetricNetReceivePackets:
			e.judgeInterface(o, m, series.Label)
		default:
		}
	}
	e.judgeTemperature(o)
	e.judgeClock(o, m)
	e.judgeLimits(o)
}

func (e *evaluation) judgeCollector(o *facts.NodeSample) {
	node, ok := e.look(facts.Ref{Kind: facts.KindNode, Name: o.Name}).(*facts.Node)
	if !ok || facts.Is(node.Conditions, "Ready", facts.True) == nil {
		return
	}
	f := Finding{Key: nodeKey(collectorStale, o.Name), Node: o.Name, Reason: "NoSamples", Since: freshUntil(o.Received, o.Interval), Hold: RuleHold}
	f.Object = telemetry.ObjectRef{Kind: facts.KindNode, Name: o.Name, UID: node.UID}
	f.Inhibitors = []Key{nodeKey(nodeUnreachable, o.Name)}
	f.Explain = inState("Node "+o.Name+" sent its last sample at "+stampOf(o.Received), "lastSample", stampOf(o.Received))
	e.add(&o.Meta, f, sinceCreated)
}

func (e *evaluation) judgeNodeLoad(o *facts.NodeSample) {
	for _, limit := range []struct {
		metric telemetry.MetricID
		above  float64
		id     catalogue.ID
		reason string
	}{
		{telemetry.MetricCPUUsage, 90, nodeCPU, "CPUHigh"},
		{telemetry.MetricLoadPerCore, 2, nodeLoad, "LoadHigh"},
		{telemetry.MetricMemoryUsedPercent, 90, nodeMemoryHigh, "MemoryHigh"},
	} {
		if v, ok := o.Sample.Value(limit.metric, ""); ok && v > limit.above {
			e.measured(o, limit.id, "", limit.reason, limit.metric, v)
		}
	}
	for _, stall := range []struct {
		metric telemetry.MetricID
		above  float64
	}{
		{telemetry.MetricPressureMemoryFull, 10}, {telemetry.MetricPressureIOFull, 20}, {telemetry.MetricPressureCPUSome, 60},
	} {
		if v, ok := o.Sample.Value(stall.metric, ""); ok && v > stall.above {
			e.measured(o, nodePressureStall, "", "PressureStall", stall.metric, v)
			break
		}
	}
	used, ok := o.Sample.Value(telemetry.MetricConntrack, "")
	if limit, limited := o.Sample.Value(telemetry.MetricConntrackMax, ""); ok && limited && limit > 0 && used/limit > 0.75 {
		e.measured(o, nodeConntrack, "", "ConntrackNearLimit", telemetry.MetricConntrack, used)
	}
}

func (e *evaluation) judgeFilesystem(o *facts.NodeSample, m *sampleMemory, mount string, size float64) {
	value := func(metric telemetry.MetricID) (float64, bool) { return o.Sample.Value(metric, mount) }
	e.judgeInodes(o, mount)
	available, ok := value(telemetry.MetricFSAvailable)
	if readonly, _ := value(telemetry.MetricFSReadOnly); !ok || size <= 0 || readonly != 0 {
		return
	}
	part, least := available/size, 0.05
	if role, _ := value(telemetry.MetricFSRole); int(role)&(telemetry.FSRoleNode|telemetry.FSRoleImage) != 0 {
		least = 0.10
	}
	if part < least {
		var escalations []Escalation
		if part < 0.03 {
			escalations = []Escalation{{Severity: telemetry.SeverityCritical, After: 30 * time.Minute}}
		}
		e.measured(o, nodeFSFull, mount, "AlmostFull", telemetry.MetricFSAvailable, available, escalations...)
	}
	if part >= 0.40 {
		return
	}
	if in, falling := m.mount(mount).line.Empty(o.Taken, available); falling && in <= 24*time.Hour {
		var escalations []Escalation
		if part < 0.15 && in <= 4*time.Hour {
			escalations = []Escalation{{Severity: telemetry.SeverityCritical}}
		}
		e.measured(o, nodeFSFilling, mount, "FillingUp", telemetry.MetricFSAvailable, available, escalations...)
	}
}

func (e *evaluation) judgeInodes(o *facts.NodeSample, mount string) {
	inodes, _ := o.Sample.Value(telemetry.MetricFSInodes, mount)
	free, ok := o.Sample.Value(telemetry.MetricFSInodesFree, mount)
	if !ok || inodes <= 0 || free/inodes >= 0.05 {
		return
	}
	var escalations []Escalation
	if free/inodes < 0.03 {
		escalations = []Escalation{{Severity: telemetry.SeverityCritical}}
	}
	e.measured(o, nodeInodes, mount, "InodesAlmostExhausted", telemetry.MetricFSInodesFree, free, escalations...)
}

func (e *evaluation) judgeInterface(o *facts.NodeSample, m *sampleMemory, name string) {
	n := m.nets[name]
	if n == nil {
		return
	}
	var packets, errs float64
	for _, p := range n.points {
		packets += p.packets
		errs += p.errors
	}
	if packets > 0 && errs/packets > 0.01 {
		e.measured(o, nodeNetErrors, name, "NetworkErrors", telemetry.MetricNetReceiveErrors, errs/packets)
	}
}

// judgeTemperature takes the sensor that is closest to its limit.
func (e *evaluation) judgeTemperature(o *facts.NodeSample) {
	const (
		margin  = 5
		without = 90
	)
	hot, hottest, sensor := 0.0, 0.0, ""
	for i, series := range o.Sample.Series {
		if series.Metric != telemetry.MetricTemperature {
			continue
		}
		limit := float64(without)
		if critical, ok := o.Sample.Value(telemetry.MetricTemperatureCritical, series.Label); ok && critical > 0 {
			limit = critical - margin
		}
		if over := o.Sample.Values[i] - limit; over >= 0 && (sensor == "" || over > hottest) {
			hot, hottest, sensor = o.Sample.Values[i], over, series.Label
		}
	}
	if sensor == "" {
		return
	}
	e.measured(o, nodeTemperature, "", "TemperatureHigh", telemetry.MetricTemperature, hot)
}

func (e *evaluation) judgeClock(o *facts.NodeSample, m *sampleMemory) {
	if len(m.skews) < skewCount {
		return
	}
	sorted := slices.Sorted(slices.Values(m.skews))
	if median := sorted[skewCount/2]; median > 5*time.Second {
		e.measured(o, nodeClockSkew, "", "ClockSkew", telemetry.MetricClockOffset, median.Seconds())
	}
}
