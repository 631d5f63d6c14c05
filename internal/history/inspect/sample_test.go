// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inspect

import (
	"time"

	"github.com/atlhyper/atlhyper/internal/history"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

const (
	clusterA = history.ClusterUID("0f6f5b3e-8f5b-4b6a-9d0e-3a1d2c4b5a69")
	clusterB = history.ClusterUID("7c1de0aa-1111-4222-8333-944455556666")
)

// testNow is when the golden files were drawn.
var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return testNow.Add(-d) }

// hostile is what an object of a member cluster may contain.
const hostile = "\x1b[2J\x1b[31mred\x1b[0m\x1b]0;title\x07 a\nNAME  fake\r\tb\u202eevil\u009b31mx\u200b\x00\x7f"

// sample is a store of two clusters.
func sample() *fake {
	object := func(c history.ClusterUID, k telemetry.Kind, namespace, name string, change func(*history.Object)) history.Object {
		o := history.Object{Cluster: c, FirstSeen: before(30 * time.Hour), Changed: before(90 * time.Second), ObjectDelta: telemetry.ObjectDelta{
			Op: telemetry.OpUpsert, Kind: k, Namespace: namespace, Name: name, UID: "uid-" + name, Created: before(31 * time.Hour), Ready: telemetry.ReadyTrue,
		}}
		change(&o)
		return o
	}
	keep := func(*history.Object) {}
	deployment := object(clusterA, telemetry.KindDeployment, "shop", "web", func(o *history.Object) {
		o.Phase, o.Replicas = "Complete", telemetry.Replicas{Desired: 3, Current: 3, Updated: 3, Ready: 2, Available: 2}
		o.Generation, o.ObservedGeneration = 7, 7
	})
	pod := object(clusterA, telemetry.KindPod, "shop", "web-5d9c-x1", func(o *history.Object) {
		o.Phase, o.Reason, o.Message, o.Ready, o.Restarts, o.Node = "Running", "CrashLoopBackOff", "back-off 5m0s "+hostile, telemetry.ReadyFalse, 12, "worker-1"
		o.Owner = telemetry.ObjectRef{Kind: "ReplicaSet", Name: "web-5d9c", UID: "rs"}
		o.Labels = []telemetry.Label{{Key: "app", Value: "web"}}
		o.Attributes = []telemetry.Label{{Key: telemetry.AttributeImage, Value: "registry.example/web:1"}}
		o.Numbers = []telemetry.Number{
			{ID: telemetry.NumberContainers, Value: 2}, {ID: telemetry.NumberReadyContainers, Value: 1}, {ID: telemetry.NumberMemoryLimitBytes, Value: 64 << 20}, {ID: 900, Value: 5},
		}
	})
	gone := object(clusterA, telemetry.KindPod, "shop", "web-5d9c-x0", func(o *history.Object) {
		o.Op, o.Phase, o.Gone, o.Created = telemetry.OpDelete, "Running", before(3*time.Hour), time.Time{}
	})
	return &fake{
		clusters: []history.ClusterUID{clusterA, clusterB},
		objects: []history.Object{
			deployment,
			object(clusterA, telemetry.KindNamespace, "", "kube-system", keep),
			object(clusterA, telemetry.KindNamespace, "", "shop", keep),
			object(clusterA, telemetry.KindNode, "", "worker-1", func(o *history.Object) { o.Phase = "Ready" }),
			gone, pod,
			object(clusterB, "Widget", "labs", hostile, func(o *history.Object) { o.Ready, o.Deleted = telemetry.ReadyUnknown, before(time.Minute) }),
			object(clusterB, telemetry.KindNamespace, "", "labs", keep),
		},
		changes: []history.ObjectChange{
			{Cluster: clusterA, At: before(10 * time.Minute), Epoch: 1_795_000_000_000, Seq: 41, ObjectDelta: pod.ObjectDelta},
			{Cluster: clusterA, At: before(3 * time.Hour), Epoch: 1_795_000_000_000, Seq: 12, ObjectDelta: gone.ObjectDelta},
			{Cluster: clusterB, At: before(time.Hour), Epoch: 1_795_000_000_001, Seq: 2, ObjectDelta: telemetry.ObjectDelta{
				Op: telemetry.OpUpsert, Kind: telemetry.KindService, Namespace: "labs", Name: "api", UID: "svc",
			}},
		},
		events: []history.Event{
			event(clusterA, "e1", "BackOff", 40, 2*time.Minute, "Back-off restarting failed container web"),
			event(clusterA, "e2", "FailedMount", 1, 5*time.Hour, hostile),
			event(clusterB, "e3", "Unhealthy", 3, time.Hour, "Readiness probe failed"),
		},
		open: []history.Anomaly{
			anomaly(clusterA, "PodCrashLoopBackOff", "f1", telemetry.AnomalyRaised, telemetry.SeverityCritical, 26*time.Hour),
			anomaly(clusterA, "PodPending", "f2", telemetry.AnomalyPending, telemetry.SeverityWarning, 40*time.Second),
			anomaly(clusterB, "NodeNotReady", "f3", telemetry.AnomalyEscalated, telemetry.SeverityCritical, 12*24*time.Hour),
		},
		transitions: []history.Anomaly{
			anomaly(clusterA, "PodCrashLoopBackOff", "f1", telemetry.AnomalyCleared, telemetry.SeverityCritical, 10*time.Minute),
			anomaly(clusterB, "NodeNotReady", "f3", telemetry.AnomalyRaised, telemetry.SeverityInfo, 5*time.Minute),
		},
		nodes: map[history.ClusterUID][]history.Node{
			clusterA: {{Name: "worker-1", LastSample: before(12 * time.Second)}, {Name: "worker-2"}},
			clusterB: {{Name: "edge-1", LastSample: before(49 * time.Hour)}},
		},
		series: map[string][]telemetry.Series{
			"worker-1": {{Metric: telemetry.MetricCPUUsage}, {Metric: telemetry.MetricMemoryTotal}, {Metric: telemetry.MetricFSUsed, Label: "/"}, {Metric: telemetry.MetricFSUsed, Label: "/data"}, {Metric: 60_000}},
			"edge-1":   {{Metric: telemetry.MetricCPUUsage}},
		},
		points: []history.SeriesPoints{
			{Series: telemetry.Series{Metric: telemetry.MetricCPUUsage}, Points: []history.Point{
				{At: before(10 * time.Minute), Count: 20, Min: 1.5, Max: 80.25, Sum: 400}, {At: before(5 * time.Minute), Count: 10, Min: 3, Max: 4, Sum: 35},
			}},
			{Series: telemetry.Series{Metric: telemetry.MetricMemoryTotal}, Points: []history.Point{{At: before(5 * time.Minute), Count: 4, Min: 16 << 30, Max: 16 << 30, Sum: 64 << 30}}},
			{Series: telemetry.Series{Metric: telemetry.MetricFSUsed, Label: "/"}, Points: []history.Point{{At: before(5 * time.Minute), Count: 2, Min: 1 << 20, Max: 3 << 20, Sum: 4 << 20}}},
			{Series: telemetry.Series{Metric: telemetry.MetricFSUsed, Label: "/data"}},
			{Series: telemetry.Series{Metric: telemetry.MetricOOMKills}, Points: []history.Point{{At: before(5 * time.Minute), Count: 2, Min: 3, Max: 4, Sum: 7}}},
			{Series: telemetry.Series{Metric: 60_000}, Points: []history.Point{{At: before(5 * time.Minute), Count: 1, Min: 7, Max: 7, Sum: 7}}},
		},
		routes: []telemetry.RouteKey{
			{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "/cart"}, {Controller: "ingress-nginx", Kind: "Ingress", Namespace: "shop", Name: "idle"},
		},
		sum: history.SLISum{Slices: 60, Covered: 57, Total: 12_000, Bad: 6, SumSeconds: 1500},
		sliList: []telemetry.SLISlice{
			{Route: telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "/cart"}, Start: before(2 * time.Minute), Total: 100, Bad: 1, SumSeconds: 12, GoodScrapes: 4},
			{Route: telemetry.RouteKey{Controller: "traefik", Kind: "Ingress", Namespace: "shop", Name: "web", Route: "/cart"}, Start: before(time.Minute)},
		},
		gaps: []history.Gap{
			{Key: key(clusterA, telemetry.StreamEvents), Noted: before(time.Hour), Gap: telemetry.Gap{
				From: 10, To: 400, Reason: telemetry.GapSpoolFull, Dropped: 391, Start: before(5 * time.Hour), End: before(2 * time.Hour),
			}},
			{Key: key(clusterB, telemetry.StreamInventory), Noted: before(25 * time.Hour), Gap: telemetry.Gap{From: 1, To: 1, Reason: telemetry.GapEpochLost}},
		},
		quarantined: []history.Quarantined{
			{Key: key(clusterA, telemetry.StreamNodeMetrics), Noted: before(time.Minute), Refused: history.Refused{FirstSeq: 5, LastSeq: 5, Reason: "time: lies " + hostile, Raw: []byte{0, 1, 2}}},
		},
		offsets: []history.Offset{
			{Key: key(clusterA, telemetry.StreamInventory), LastSeq: 4711, Began: before(24 * time.Hour), Updated: before(3 * time.Second)},
			{Key: key(clusterB, telemetry.StreamEvents), LastSeq: 9, Began: before(5 * 24 * time.Hour), Updated: before(4 * 24 * time.Hour)},
		},
	}
}

func key(c history.ClusterUID, stream telemetry.Stream) telemetry.Key {
	return telemetry.Key{ClusterUID: string(c), Stream: stream, Epoch: 1_795_000_000_000}
}

func event(c history.ClusterUID, uid, reason string, count uint32, last time.Duration, message string) history.Event {
	return history.Event{Cluster: c, Event: telemetry.Event{
		UID: uid, Namespace: "shop", Name: "web." + uid, Type: telemetry.EventWarning, Reason: reason, Message: message,
		Regarding:  telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-5d9c-x1", UID: "p"},
		Controller: "kubelet", Host: "worker-1", Count: count, FirstSeen: before(last + time.Hour), LastSeen: before(last),
	}}
}

func anomaly(c history.ClusterUID, rule, fingerprint string, state telemetry.AnomalyState, severity telemetry.Severity, since time.Duration) history.Anomaly {
	a := history.Anomaly{Cluster: c, At: before(since), Epoch: 1_795_000_000_000, Seq: 8, AnomalyTransition: telemetry.AnomalyTransition{
		Rule: rule, Fingerprint: fingerprint, State: state, Severity: severity, Since: before(since), Count: 2, Message: "it is not well" + hostile,
		Object: telemetry.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web-5d9c-x1"}, Node: "worker-1", Container: "web",
		Evidence: []telemetry.Label{{Key: "exitCode", Value: "137"}},
	}}
	if c == clusterB {
		a.Object, a.Container, a.Node = telemetry.ObjectRef{Kind: "Node", Name: "edge-1"}, "", "edge-1"
	}
	return a
}
