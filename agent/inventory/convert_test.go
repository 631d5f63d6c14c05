// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package inventory

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// deltaOf is what an object, written as YAML, is told as; nil when it is hidden.
func deltaOf[O any](t *testing.T, kind telemetry.Kind, convert func(*O, *builder) bool, manifest string) *telemetry.ObjectDelta {
	t.Helper()
	o := new(O)
	if err := yaml.UnmarshalStrict([]byte(manifest), o); err != nil {
		// The routes' types have only some of the fields.
		if err := yaml.Unmarshal([]byte(manifest), o); err != nil || !strings.Contains(string(kind), "Route") {
			t.Fatal(err)
		}
	}
	var b builder
	if !convert(o, &b) {
		return nil
	}
	key, _ := keyOf(o)
	rec := b.finish()
	d := rec.delta(kind, key)
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	return &d
}

// kase is one object and what is told of it, besides what all objects have.
type kase struct {
	manifest string
	want     telemetry.ObjectDelta
}

const meta = `metadata: {namespace: shop, name: web, uid: 6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab, resourceVersion: "42", generation: 3,
  creationTimestamp: "2026-03-01T12:00:00Z", labels: {app: web}}
`

func check1[O any](t *testing.T, kind telemetry.Kind, convert func(*O, *builder) bool, cases map[string]kase) {
	t.Helper()
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			want := tt.want
			want.Op, want.Kind, want.Namespace, want.Name = telemetry.OpUpsert, kind, "shop", "web"
			want.UID, want.ResourceVersion = "6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab", 42
			want.Created = noon
			if want.Labels == nil {
				want.Labels = []telemetry.Label{{Key: "app", Value: "web"}}
			}
			manifest := tt.manifest
			if !strings.Contains(manifest, "metadata: {namespace") {
				manifest = meta + manifest
			}
			if diff := cmp.Diff(&want, deltaOf(t, kind, convert, manifest)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func words(pairs ...string) []telemetry.Label {
	var labels []telemetry.Label
	for pair := range slices.Chunk(pairs, 2) {
		labels = append(labels, telemetry.Label{Key: pair[0], Value: pair[1]})
	}
	return labels
}

func numbers(pairs ...int64) []telemetry.Number {
	var list []telemetry.Number
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, telemetry.Number{ID: telemetry.NumberID(pair[0]), Value: pair[1]}) //nolint:gosec // small constants
	}
	return list
}

func TestConvertPod(t *testing.T) {
	const spec = `
spec:
  nodeName: n1
  priorityClassName: high
  containers:
  - {name: web, image: "web:1", resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: "1", memory: 128Mi}}}
  - {name: proxy, image: "proxy:2", resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 64Mi}}}
`
	const container, ready, request, memory, limit, exit, started = int64(telemetry.NumberContainers), int64(telemetry.NumberReadyContainers),
		int64(telemetry.NumberCPURequestMillis), int64(telemetry.NumberMemoryRequestBytes), int64(telemetry.NumberMemoryLimitBytes),
		int64(telemetry.NumberExitCode), int64(telemetry.NumberStartedSeconds)
	base := func(n int64, more ...int64) []telemetry.Number {
		return numbers(append([]int64{container, 2, ready, n, request, 150, memory, 96 << 20, limit, 192 << 20}, more...)...)
	}
	image := words("image", "web:1,proxy:2", "priorityClass", "high")
	about := words("container", "web", "image", "web:1,proxy:2", "priorityClass", "high")
	cases := map[string]kase{
		"running and owned": {
			`metadata: {namespace: shop, name: web, uid: 6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab, resourceVersion: "42",
  creationTimestamp: "2026-03-01T12:00:00Z", labels: {pod-template-hash: abc},
  ownerReferences: [{apiVersion: v1, kind: Other, name: o, uid: o}, {apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, uid: u, controller: true}]}
` + spec + `
status:
  phase: Running
  qosClass: Burstable
  podIP: 10.0.0.7
  startTime: "2026-03-01T12:00:01Z"
  conditions: [{type: Ready, status: "True", lastProbeTime: "2026-03-01T12:00:09Z"}]
  initContainerStatuses: [{name: init, restartCount: 1, state: {terminated: {exitCode: 0, reason: Completed}}}]
  containerStatuses: [{name: web, ready: true, restartCount: 2, state: {running: {}}}, {name: proxy, ready: true, restartCount: 3, state: {running: {}}}]
`, telemetry.ObjectDelta{
				Phase: "Running", Node: "n1", Ready: telemetry.ReadyTrue, Restarts: 6, Labels: words("pod-template-hash", "abc"),
				Owner:   telemetry.ObjectRef{Kind: "ReplicaSet", Name: "web-abc", UID: "u"},
				Numbers: base(2, started, noon.Unix()+1),
				Attributes: words("image", "web:1,proxy:2", "podIP", "10.0.0.7", "priorityClass", "high", "qosClass", "Burstable",
					"templateHash", "abc"),
			},
		},
		"a crash loop after running out of memory": {
			spec + `
status:
  phase: Running
  conditions: [{type: Ready, status: "False", reason: ContainersNotReady, message: "containers with unready status: [web]"}]
  containerStatuses:
  - {name: proxy, ready: true, state: {running: {}}}
  - name: web
    restartCount: 4
    state: {waiting: {reason: CrashLoopBackOff, message: back-off 1m20s}}
    lastState: {terminated: {reason: OOMKilled, exitCode: 137}}
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Running", Node: "n1", Ready: telemetry.ReadyFalse, Restarts: 4, Reason: "CrashLoopBackOff",
				Message: "back-off 1m20s; it last ended with OOMKilled, exit code 137", Numbers: base(1, exit, 137), Attributes: about,
			},
		},
		"an image that cannot be pulled": {
			spec + `
status:
  phase: Pending
  containerStatuses: [{name: web, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Pending", Node: "n1", Reason: "ImagePullBackOff", Message: "no such image", Numbers: base(0), Attributes: about,
			},
		},
		"an init container fails before the others start": {
			spec + `
status:
  phase: Pending
  initContainerStatuses: [{name: web, state: {terminated: {reason: Error, exitCode: 2, message: no database}}}]
  containerStatuses: [{name: proxy, state: {waiting: {reason: PodInitializing}}}]
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Pending", Node: "n1", Reason: "Error", Message: "no database", Numbers: base(0, exit, 2), Attributes: about,
			},
		},
		"no node has room": {
			strings.Replace(spec, "nodeName: n1", "", 1) + `
status:
  phase: Pending
  conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes are available}]
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Pending", Reason: "Unschedulable", Message: "0/3 nodes are available", Numbers: base(0), Attributes: image,
			},
		},
		"starting": {
			spec + `
status: {phase: Pending, containerStatuses: [{name: web, state: {waiting: {reason: ContainerCreating}}}]}
`, telemetry.ObjectDelta{Generation: 3, Phase: "Pending", Node: "n1", Reason: "ContainerCreating", Numbers: base(0), Attributes: about},
		},
		"evicted": {
			spec + `
status: {phase: Failed, reason: Evicted, message: "The node was low on resource: memory.",
  containerStatuses: [{name: web, state: {terminated: {reason: Error, exitCode: 137}}}]}
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Failed", Node: "n1", Reason: "Evicted", Message: "The node was low on resource: memory.",
				Numbers: base(0), Attributes: image,
			},
		},
		"not ready, without a reason of a container": {
			spec + `
status: {phase: Running, conditions: [{type: Ready, status: "False", reason: ReadinessGatesNotReady, message: gate}],
  containerStatuses: [{name: web, ready: true, state: {running: {}}}]}
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Running", Node: "n1", Ready: telemetry.ReadyFalse, Reason: "ReadinessGatesNotReady", Message: "gate",
				Numbers: base(1), Attributes: image,
			},
		},
		"done": {
			spec + `
status: {phase: Succeeded, conditions: [{type: Ready, status: "False", reason: PodCompleted}],
  containerStatuses: [{name: web, state: {terminated: {reason: Completed, exitCode: 0}}}]}
`, telemetry.ObjectDelta{
				Generation: 3, Phase: "Succeeded", Node: "n1", Ready: telemetry.ReadyFalse, Numbers: base(0), Attributes: image,
			},
		},
	}
	check1(t, telemetry.KindPod, convertPod, cases)
}

func TestConvertKeepsNothingLarge(t *testing.T) {
	pod := toldPod(1)
	for n := range 200 {
		pod.Labels[strings.Repeat("k", 60)+string(rune('a'+n%26))+string(rune('a'+n/26))] = strings.Repeat("v", 400)
	}
	pod.Name, pod.UID = "a", "not-a-uuid"
	pod.Status.Reason, pod.Status.Message = strings.Repeat("r", 1000), strings.Repeat("ü", 5000)+"\x00\xff"
	for range 100 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "c", Image: strings.Repeat("i", 100) + string(rune('a'+len(pod.Spec.Containers)%26))})
	}
	pod.CreationTimestamp.Time = time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC)
	pod.ResourceVersion, pod.Generation = "not-a-number", -1
	var b builder
	convertPod(pod, &b)
	key, _ := keyOf(pod)
	rec := b.finish()
	d := rec.delta(telemetry.KindPod, key)
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	size := 0
	for _, l := range d.Labels {
		size += len(l.Key) + len(l.Value)
	}
	if size > maxLabelBytes || len(d.Message) > maxObjectMessage || d.UID != "not-a-uuid" || d.ResourceVersion != 0 || !d.Created.IsZero() {
		t.Errorf("%d bytes of labels, %d of message, UID %q, version %d, created %s", size, len(d.Message), d.UID, d.ResourceVersion, d.Created)
	}
	if len(d.Labels) == 0 {
		t.Error("no labels at all")
	}
}

func TestUIDsComeBackAsTheyWere(t *testing.T) {
	for _, uid := range []string{
		"", "a", "6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab", "6F1C2D3E-4B5A-4C6D-8E7F-0123456789AB", "00000000-0000-0000-0000-000000000000",
		"6f1c2d3e+4b5a-4c6d-8e7f-0123456789ab", "6f1c2d3e-4b5a-4c6d-8e7f-0123456789ag", strings.Repeat("x", 128),
	} {
		if got := uidOf(uid).String(); got != uid {
			t.Errorf("%q came back as %q", uid, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = uidOf("6f1c2d3e-4b5a-4c6d-8e7f-0123456789ab") }); n > 1 {
		t.Errorf("%.0f allocations per UID", n)
	}
}

func FuzzPacks(f *testing.F) {
	f.Add("a", "b", "c", "", uint16(3), int64(-5))
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string, id uint16, value int64) {
		want := []telemetry.Label{{Key: k1, Value: v1}, {Key: k2, Value: v2}}
		if k1 > k2 {
			want[0], want[1] = want[1], want[0]
		}
		got := unpackLabels(string(packLabels(nil, want[:1])), string(packLabels(nil, want[1:])))
		if diff := cmp.Diff(want, got); diff != "" && k1 != k2 {
			t.Errorf("labels:\n%s", diff)
		}
		number := []telemetry.Number{{ID: telemetry.NumberID(id), Value: value}, {ID: 0xffff, Value: -value}}
		if diff := cmp.Diff(number, unpackNumbers(string(packNumbers(nil, number)))); diff != "" {
			t.Errorf("numbers:\n%s", diff)
		}
	})
}
