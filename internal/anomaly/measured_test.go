// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package anomaly_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const interval = 15 * time.Second

type value struct {
	metric telemetry.MetricID
	label  string
	value  float64
}

// sampleOf is a sample of a healthy node with some values in addition.
func sampleOf(node string, seq int, values ...value) *facts.NodeSample {
	taken := start.Add(time.Duration(seq) * interval)
	s := &telemetry.NodeSample{Node: node, BootID: "boot-1", CollectorSeq: uint64(seq) + 1, Interval: interval} //nolint:gosec // small
	for _, v := range append([]value{{telemetry.MetricCPUUsage, "", 10}, {telemetry.MetricMemoryUsedPercent, "", 30}}, values...) {
		at := slices.Index(s.Series, telemetry.Series{Metric: v.metric, Label: v.label})
		if at < 0 {
			s.Series = append(s.Series, telemetry.Series{Metric: v.metric, Label: v.label})
			s.Values = append(s.Values, v.value)
		} else {
			s.Values[at] = v.value
		}
	}
	return &facts.NodeSample{
		Meta:   facts.Meta{Ref: facts.Ref{Kind: facts.KindNodeSample, Name: node}},
		Sample: s, Taken: taken, Received: taken, Interval: interval,
	}
}

// feed hands over something every 15 seconds for so long.
func (s *story) feed(from, to time.Duration, next func(seq int) facts.Object) {
	s.t.Helper()
	for at := from; at <= to; at += interval {
		s.at(at).see(next(int(at / interval)))
	}
}

func mount(available, free float64, role int) []value {
	const m = "/var/lib/kubelet"
	return []value{
		{telemetry.MetricFSSize, m, 100},
		{telemetry.MetricFSAvailable, m, available},
		{telemetry.MetricFSReadOnly, m, 0},
		{telemetry.MetricFSInodes, m, 100},
		{telemetry.MetricFSInodesFree, m, free},
		{telemetry.MetricFSRole, m, float64(role)},
	}
}

func nic(packets, errors float64) []value {
	return []value{
		{telemetry.MetricNetPhysical, "eth0", 1}, {telemetry.MetricNetReceivePackets, "eth0", packets}, {telemetry.MetricNetReceiveErrors, "eth0", errors},
	}
}

// A measurement that is bad for as long as it takes, and one that is not.
func TestNodeMeasurements(t *testing.T) {
	minute, hour := time.Minute, time.Hour
	cases := map[catalogue.ID]struct {
		bad, good func(seq int) []value
		severity  string
		last      time.Duration
		want      time.Duration
	}{
		"NodeCPUHigh":       {one(telemetry.MetricCPUUsage, "", 95), one(telemetry.MetricCPUUsage, "", 90), "info", 16 * minute, 15 * minute},
		"NodeLoadHigh":      {one(telemetry.MetricLoadPerCore, "", 2.1), one(telemetry.MetricLoadPerCore, "", 2), "warning", 16 * minute, 15 * minute},
		"NodeMemoryHigh":    {one(telemetry.MetricMemoryUsedPercent, "", 91), one(telemetry.MetricMemoryUsedPercent, "", 89), "warning", 16 * minute, 15 * minute},
		"NodeDiskSaturated": {one(telemetry.MetricDiskQueue, "sda", 11), one(telemetry.MetricDiskQueue, "sda", 10), "warning", 31 * minute, 30 * minute},
		"NodeMountStuck": {
			one(telemetry.MetricFSError, "/nfs", telemetry.FSErrorTimeout), one(telemetry.MetricFSError, "/nfs", telemetry.FSErrorPermission), "warning", 6 * minute, 5 * minute,
		},
		"NodePressureStall": {one(telemetry.MetricPressureIOFull, "", 21), one(telemetry.MetricPressureCPUSome, "", 60), "info", 11 * minute, 10 * minute},
		"NodeConntrackNearLimit": {
			many(value{telemetry.MetricConntrack, "", 76}, value{telemetry.MetricConntrackMax, "", 100}),
			many(value{telemetry.MetricConntrack, "", 74}, value{telemetry.MetricConntrackMax, "", 100}), "warning", 6 * minute, 5 * minute,
		},
		"NodeTemperatureHigh": {
			many(value{telemetry.MetricTemperature, "cpu", 96}, value{telemetry.MetricTemperatureCritical, "cpu", 100}),
			many(value{telemetry.MetricTemperature, "cpu", 89}), "warning", 6 * minute, 5 * minute,
		},
		"NodeFilesystemAlmostFull": {
			many(mount(9, 90, telemetry.FSRoleNode)...), many(mount(9, 90, 0)...), "warning", 11 * minute, 10 * minute,
		},
		"NodeInodesAlmostExhausted": {many(mount(90, 4, 0)...), many(mount(90, 6, 0)...), "warning", 61 * minute, hour},
		"NodeFilesystemFillingUp": {
			// It loses a percent per minute from 38 % on: the trend is known after half
			// an hour, and holds for an hour.
			func(seq int) []value { return mount(38-float64(seq)*0.06/4*3, 90, 0) },
			func(int) []value { return mount(38, 90, 0) }, "warning", 91 * minute, 90 * minute,
		},
		"NodeNetworkErrors": {many(nic(1000, 20)...), many(nic(1000, 5)...), "warning", 16 * minute, 15 * minute},
	}
	for id, tc := range cases {
		t.Run(string(id), func(t *testing.T) {
			s := begin(t, nodeOf("node-1"))
			s.feed(0, tc.last, func(seq int) facts.Object { return sampleOf("node-1", seq, tc.bad(seq)...) })
			s.wants(fmt.Sprintf("%s raised %s %s node-1", tc.want, tc.severity, id))

			s = begin(t, nodeOf("node-1"))
			s.feed(0, tc.last, func(seq int) facts.Object { return sampleOf("node-1", seq, tc.good(seq)...) })
			s.wants()

			rule, ok := catalogue.Lookup(id)
			if !ok || rule.Source != catalogue.SourceSamples {
				t.Errorf("%s is no rule about samples", id)
			}
		})
	}
}

func one(metric telemetry.MetricID, label string, v float64) func(int) []value {
	return func(int) []value { return []value{{metric, label, v}} }
}

func many(values ...value) func(int) []value { return func(int) []value { return values } }

func TestNodeFilesystems(t *testing.T) {
	minute := time.Minute
	t.Run("less than 3 % for half an hour is critical", func(t *testing.T) {
		s := begin(t, nodeOf("node-1"))
		s.feed(0, 45*minute, func(seq int) facts.Object { return sampleOf("node-1", seq, mount(2, 90, 0)...) })
		s.wants("10m0s raised warning NodeFilesystemAlmostFull node-1", "30m0s escalated critical NodeFilesystemAlmostFull node-1")
	})
	t.Run("a filesystem that turns read-only", func(t *testing.T) {
		s := begin(t, nodeOf("node-1"))
		readonly := func(v float64) func(int) facts.Object {
			return func(seq int) facts.Object {
				return sampleOf("node-1", seq, value{telemetry.MetricFSReadOnly, "/data", v})
			}
		}
		s.feed(0, minute, readonly(0))
		s.feed(minute+interval, 5*minute, readonly(1))
		s.feed(5*minute+interval, 6*minute, readonly(0))
		s.wants("1m15s pending critical NodeFilesystemReadOnly node-1", "2m15s raised critical NodeFilesystemReadOnly node-1", "5m15s cleared critical NodeFilesystemReadOnly node-1")
	})
	t.Run("one that always was is none", func(t *testing.T) {
		s := begin(t, nodeOf("node-1"))
		s.feed(0, 5*minute, func(seq int) facts.Object {
			return sampleOf("node-1", seq, value{telemetry.MetricFSReadOnly, "/cdrom", 1})
		})
		s.wants()
	})
}

func TestNodeClockSkew(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	s.feed(0, 7*time.Minute, func(seq int) facts.Object {
		o := sampleOf("node-1", seq)
		o.Taken = o.Received.Add(-7 * time.Second)
		return o
	})
	// The median of five needs five.
	s.wants("6m0s raised warning NodeClockSkew node-1")
}

func TestSilentCollectors(t *testing.T) {
	names := []string{"node-1", "node-2", "node-3", "node-4", "node-5", "node-6", "node-7", "node-8", "node-9"}
	there := func() []facts.Object {
		var nodes []facts.Object
		for _, name := range names {
			nodes = append(nodes, nodeOf(name))
		}
		return nodes
	}
	feed := func(s *story, silent int, from, to time.Duration) {
		for at := from; at <= to; at += interval {
			s.at(at)
			for _, name := range names[silent:] {
				s.see(sampleOf(name, int(at/interval)))
			}
		}
	}
	t.Run("one node", func(t *testing.T) {
		s := begin(t, there()...)
		feed(s, 0, 0, time.Minute)
		feed(s, 1, time.Minute+interval, 5*time.Minute)
		feed(s, 0, 5*time.Minute+interval, 6*time.Minute)
		s.wants("3m0s raised warning CollectorStale node-1", "5m15s cleared warning CollectorStale node-1")
	})
	t.Run("most nodes are one anomaly", func(t *testing.T) {
		s := begin(t, there()...)
		feed(s, 0, 0, time.Minute)
		feed(s, 6, time.Minute+interval, 5*time.Minute)
		s.wants("3m0s raised warning CollectorStale cluster x6")
		feed(s, 0, 5*time.Minute+interval, 6*time.Minute)
		s.wants("3m0s raised warning CollectorStale cluster x6", "5m15s cleared warning CollectorStale cluster")
	})
	t.Run("a node that is away says nothing", func(t *testing.T) {
		s := begin(t, there()...)
		feed(s, 0, 0, time.Minute)
		s.see(nodeOf("node-1", condition("Ready", facts.Unknown, "NodeStatusUnknown", time.Minute)))
		feed(s, 1, time.Minute+interval, 4*time.Minute)
		s.wants("1m0s raised warning NodeUnreachable node-1")
	})
}

// A measurement that does not come again is no proof of anything.
func TestMissingMeasurements(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	hot := func(seq int) facts.Object { return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", 95}) }
	s.feed(0, 10*time.Minute, hot)
	s.at(time.Hour)
	s.wants("12m0s raised warning CollectorStale node-1")
	s.feed(time.Hour, 80*time.Minute, hot)
	s.at(3 * time.Hour)
	s.wants("12m0s raised warning CollectorStale node-1", "1h0m0s cleared warning CollectorStale node-1",
		"1h15m0s raised info NodeCPUHigh node-1", "1h22m0s raised warning CollectorStale node-1")
}

// A sample that was under way when its node went brings nothing back.
func TestLateMeasurements(t *testing.T) {
	s := begin(t, nodeOf("node-1"))
	hot := func(seq int) facts.Object { return sampleOf("node-1", seq, value{telemetry.MetricCPUUsage, "", 95}) }
	s.feed(0, 16*time.Minute, hot)
	s.at(17 * time.Minute).lose(nodeOf("node-1"))
	s.feed(18*time.Minute, 19*time.Minute, hot)
	s.at(3 * time.Hour)
	s.wants("15m0s raised info NodeCPUHigh node-1", "17m0s cleared info NodeCPUHigh node-1")

	s.see(nodeOf("node-1"))
	s.feed(4*time.Hour, 4*time.Hour+16*time.Minute, hot)
	s.wants("15m0s raised info NodeCPUHigh node-1", "17m0s cleared info NodeCPUHigh node-1", "4h15m0s raised info NodeCPUHigh node-1")
}

func TestContainersAndVolumes(t *testing.T) {
	minute := time.Minute
	usage := func(at time.Duration, working int64, throttled uint64) *facts.ContainerUsage {
		n := uint64(at / time.Second) //nolint:gosec // not negative
		return &facts.ContainerUsage{
			Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindContainerUsage, Namespace: "default", Name: "web-1/web"}},
			Pod:  "web-1", Container: "web", At: start.Add(at), Interval: minute, WorkingSet: working, MemoryLimit: 1000,
			Periods: 1000 + 10*n, Throttled: throttled * n / 10,
		}
	}
	volume := func(at time.Duration, available, inodes int64) *facts.VolumeUsage {
		return &facts.VolumeUsage{
			Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindVolumeUsage, Namespace: "default", Name: "data"}},
			At:   start.Add(at), Interval: minute, Capacity: 100_000, Available: available, Inodes: 100_000, InodesFree: inodes,
		}
	}
	cases := map[string]struct {
		last time.Duration
		next func(at time.Duration) facts.Object
		want []string
	}{
		"memory near its limit":  {12 * minute, func(at time.Duration) facts.Object { return usage(at, 910, 0) }, []string{"10m0s raised warning PodMemoryNearLimit web-1"}},
		"memory below it":        {12 * minute, func(at time.Duration) facts.Object { return usage(at, 890, 0) }, nil},
		"a throttled container":  {17 * minute, func(at time.Duration) facts.Object { return usage(at, 10, 30) }, []string{"16m0s raised info PodCPUThrottled web-1"}},
		"a little throttled":     {17 * minute, func(at time.Duration) facts.Object { return usage(at, 10, 20) }, nil},
		"a volume that fills up": {100 * minute, func(at time.Duration) facts.Object { return volume(at, 14_000-int64(at/minute)*10, 90_000) }, []string{"1h30m0s raised warning PVCFillingUp data"}},
		"a volume that is small": {100 * minute, func(at time.Duration) facts.Object { return volume(at, 14_000, 90_000) }, nil},
		"a volume that is full":  {5 * minute, func(at time.Duration) facts.Object { return volume(at, 2_000, 90_000) }, []string{"1m0s raised critical PVCFillingUp data"}},
		"inodes that run out":    {100 * minute, func(at time.Duration) facts.Object { return volume(at, 90_000, 14_000-int64(at/minute)*10) }, []string{"1h30m0s raised warning PVCInodesFillingUp data"}},
		"enough inodes":          {100 * minute, func(at time.Duration) facts.Object { return volume(at, 90_000, 20_000-int64(at/minute)*10) }, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := begin(t, replicaSet(), podOf("web-1", nil))
			for at := time.Duration(0); at <= tc.last; at += minute {
				s.at(at).see(tc.next(at))
			}
			s.wants(tc.want...)
		})
	}
	t.Run("a claim that is only read", func(t *testing.T) {
		s := begin(t, &facts.Claim{Meta: metaOf(facts.KindClaim, "default", "data"), Phase: "Bound", ReadOnly: true})
		for at := time.Duration(0); at <= 5*minute; at += minute {
			s.at(at).see(volume(at, 2_000, 90_000))
		}
		s.wants()
	})
}

func TestControlPlane(t *testing.T) {
	minute := time.Minute
	answers := func(at time.Duration, change func(*facts.APIServer)) *facts.APIServer {
		a := &facts.APIServer{
			Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindAPIServer, Name: facts.ClusterName}},
			At:   start.Add(at), Interval: minute, P99: 100 * time.Millisecond,
		}
		change(a)
		return a
	}
	for name, tc := range map[string]struct {
		change func(*facts.APIServer)
		want   []string
	}{
		"slow":      {func(a *facts.APIServer) { a.P99 = 2 * time.Second }, []string{"5m0s raised warning APIServerSlow cluster"}},
		"failing":   {func(a *facts.APIServer) { a.ErrorRatio = 0.02 }, []string{"5m0s raised warning APIServerSlow cluster"}},
		"not ready": {func(a *facts.APIServer) { a.NotReadySince = start }, []string{"1m0s raised critical APIServerSlow cluster"}},
		"well":      {func(a *facts.APIServer) { a.P99, a.ErrorRatio = time.Second, 0.01 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			for at := time.Duration(0); at <= 7*minute; at += minute {
				s.at(at).see(answers(at, tc.change))
			}
			s.wants(tc.want...)
		})
	}
	t.Run("a certificate that ends", func(t *testing.T) {
		const day = 24 * time.Hour
		s := begin(t)
		s.see(&facts.Expiry{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindExpiry, Name: "apiserver"}}, NotAfter: start.Add(10 * day)})
		s.at(11 * day)
		s.see(&facts.Expiry{Meta: facts.Meta{Ref: facts.Ref{Kind: facts.KindExpiry, Name: "apiserver"}}, NotAfter: start.Add(300 * day)})
		s.wants(
			"72h0m0s raised warning ControlPlaneCertExpiring apiserver", "216h0m0s escalated critical ControlPlaneCertExpiring apiserver",
			"264h0m0s cleared critical ControlPlaneCertExpiring apiserver",
		)
	})
}

// What no dump shows is shown here: every rule is tested somewhere.
func TestEveryMeasuredRuleIsTested(t *testing.T) {
	tested := strings.Fields(`NodeCPUHigh NodeLoadHigh NodeMemoryHigh NodeFilesystemAlmostFull NodeFilesystemFillingUp NodeInodesAlmostExhausted
		NodeFilesystemReadOnly NodeMountStuck NodeDiskSaturated NodeNetworkErrors NodeConntrackNearLimit NodePressureStall NodeClockSkew
		NodeTemperatureHigh CollectorStale PodCPUThrottled PodMemoryNearLimit PVCFillingUp PVCInodesFillingUp APIServerSlow ControlPlaneCertExpiring`)
	for _, rule := range catalogue.Rules() {
		if !rule.InDump() && !slices.Contains(tested, string(rule.ID)) {
			t.Errorf("%s is judged from measurements and not tested here", rule.ID)
		}
	}
}
