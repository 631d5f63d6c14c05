// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package observe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/observe"
)

var start = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func at(after time.Duration) metav1.Time { return metav1.NewTime(start.Add(after)) }

func TestPod(t *testing.T) {
	o := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "default", UID: "u", CreationTimestamp: at(0), DeletionTimestamp: new(at(time.Hour)), Finalizers: []string{"keep"},
			Labels: map[string]string{"pod-template-hash": "5d4f", "kueue.x-k8s.io/queue-name": "batch"},
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "Thing", Name: "other"}, {Kind: "ReplicaSet", Name: "web-5d4f", UID: "r", Controller: new(true)},
			},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", SchedulingGates: []corev1.PodSchedulingGate{{Name: "gate"}},
			InitContainers: []corev1.Container{
				{Name: "setup", Image: "setup:1"},
				{Name: "proxy", Image: "proxy:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), StartupProbe: &corev1.Probe{FailureThreshold: 30}},
			},
			Containers: []corev1.Container{{
				Name: "web", Image: "web:1", ImagePullPolicy: corev1.PullAlways,
				StartupProbe: &corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 2, FailureThreshold: 10},
				Resources: corev1.ResourceRequirements{
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
				},
			}},
			Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
				{Name: "cache", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Reason: "r", Message: "m", StartTime: new(at(time.Minute)),
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", Message: "c", LastTransitionTime: at(2 * time.Minute)}},
			InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "setup", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Signal: 9, Message: "x", StartedAt: at(0), FinishedAt: at(time.Second)}}},
				{Name: "proxy", Started: new(true), Ready: true},
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "web", Image: "resolved", RestartCount: 2, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}},
			}},
			EphemeralContainerStatuses: []corev1.ContainerStatus{{Name: "debug", Image: "busybox"}},
		},
	}
	want := &facts.Pod{
		Meta: facts.Meta{
			Ref: facts.Ref{Kind: "Pod", Namespace: "default", Name: "web"}, UID: "u", Created: start, Deleted: start.Add(time.Hour),
			Owner: facts.Owner{Kind: "ReplicaSet", Name: "web-5d4f", UID: "r"},
		},
		Labels: o.Labels, TemplateHash: "5d4f", Node: "node-1", Phase: "Running", Reason: "r", Message: "m", Started: start.Add(time.Minute),
		Conditions: []facts.Condition{{Type: "Ready", Status: "False", Reason: "ContainersNotReady", Message: "c", Since: start.Add(2 * time.Minute)}},
		Containers: []facts.Container{
			{Name: "setup", Role: facts.RoleInit, Image: "setup:1", Ended: &facts.Termination{Reason: "Error", Message: "x", ExitCode: 3, Signal: 9, Started: start, Finished: start.Add(time.Second)}},
			{Name: "proxy", Role: facts.RoleSidecar, Image: "proxy:1", Started: true, Ready: true},
			{Name: "web", Image: "web:1", PullPolicy: "Always", MemoryLimit: 1 << 30, Restarts: 2, Waiting: facts.Waiting{Reason: "CrashLoopBackOff", Message: "back-off"}},
			{Name: "debug", Role: facts.RoleEphemeral, Image: "busybox"},
		},
		Gates: []string{"gate"}, Finalizers: []string{"keep"}, Claims: []string{"data", "web-cache"}, Queued: true,
		StartupBudget: 300 * time.Second, CPUMillis: 250,
	}
	got, ok := observe.Object(o)
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
}

func TestComponents(t *testing.T) {
	owner := func(version, kind string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: "x", Controller: new(true)}}
	}
	mirror := map[string]string{"kubernetes.io/config.mirror": "abc"}
	named := func(key, value string) map[string]string { return map[string]string{key: value} }
	cases := map[string]struct {
		pod  metav1.ObjectMeta
		want string
	}{
		"a static pod by its label":         {metav1.ObjectMeta{Name: "etcd-cp", Labels: named("component", "etcd")}, "etcd"},
		"a mirror pod by its name":          {metav1.ObjectMeta{Name: "kube-apiserver-cp", Annotations: mirror}, "kube-apiserver"},
		"a pod of a node by its name":       {metav1.ObjectMeta{Name: "kube-apiserver-cp", OwnerReferences: owner("v1", "Node")}, "kube-apiserver"},
		"a pod with a name like that":       {metav1.ObjectMeta{Name: "etcd-backup-29-x", Labels: named("app", "backup")}, ""},
		"an add-on":                         {metav1.ObjectMeta{Name: "coredns-x", Labels: named("k8s-app", "kube-dns")}, "coredns"},
		"an add-on by its name":             {metav1.ObjectMeta{Name: "coredns-x"}, ""},
		"the label of Weave Net":            {metav1.ObjectMeta{Name: "weave-net-x", Labels: named("name", "weave-net")}, "weave-net"},
		"a Job with the label of an add-on": {metav1.ObjectMeta{Name: "x", Labels: named("k8s-app", "kube-dns"), OwnerReferences: owner("batch/v1", "Job")}, ""},
		"another pod":                       {metav1.ObjectMeta{Name: "metrics-server-x", Labels: named("k8s-app", "metrics-server")}, ""},
		"another namespace":                 {metav1.ObjectMeta{Namespace: "default", Name: "etcd-0", Labels: named("component", "etcd")}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.pod.Namespace == "" {
				tc.pod.Namespace = "kube-system"
			}
			p := observe.Pod(&corev1.Pod{ObjectMeta: tc.pod})
			if p.Component != tc.want {
				t.Errorf("component %q, want %q", p.Component, tc.want)
			}
		})
	}
}

// A kind of another API group is not the one of Kubernetes.
func TestOwnersOfOtherGroups(t *testing.T) {
	for version, want := range map[string]map[string]string{
		"batch/v1":                  {"Job": "Job", "CronJob": "CronJob"},
		"batch.volcano.sh/v1alpha1": {"Job": "Job.batch.volcano.sh"},
		"apps.kruise.io/v1beta1":    {"StatefulSet": "StatefulSet.apps.kruise.io", "CloneSet": "CloneSet"},
		"apps/v1":                   {"ReplicaSet": "ReplicaSet", "DaemonSet": "DaemonSet"},
		"v1":                        {"Node": "Node", "Pod": "Pod"},
		"":                          {"Job": "Job"},
	} {
		for kind, want := range want {
			p := observe.Pod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", OwnerReferences: []metav1.OwnerReference{
				{APIVersion: version, Kind: kind, Name: "y", Controller: new(true)},
			}}})
			if p.Owner.Kind != want {
				t.Errorf("%s of %q is told as %q, want %q", kind, version, p.Owner.Kind, want)
			}
		}
	}
}

func TestEvents(t *testing.T) {
	about := corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web", FieldPath: "spec.containers{web}"}
	times := func(count int32, first, last time.Duration) []any {
		return []any{count, start.Add(first), start.Add(last)}
	}
	cases := map[string]struct {
		event any
		want  []any
	}{
		"counted":     {&corev1.Event{InvolvedObject: about, Count: 4, FirstTimestamp: at(0), LastTimestamp: at(time.Minute)}, times(4, 0, time.Minute)},
		"new in core": {&corev1.Event{InvolvedObject: about, EventTime: metav1.NewMicroTime(start.Add(time.Minute))}, times(1, time.Minute, time.Minute)},
		"a series in core": {
			&corev1.Event{InvolvedObject: about, EventTime: metav1.NewMicroTime(start), Series: &corev1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(start.Add(time.Hour))}},
			times(7, 0, time.Hour),
		},
		"a series": {
			&eventsv1.Event{Regarding: about, EventTime: metav1.NewMicroTime(start), Series: &eventsv1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(start.Add(time.Hour))}},
			times(7, 0, time.Hour),
		},
		"without any time": {&eventsv1.Event{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(0)}, Regarding: about}, times(1, 0, 0)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o, ok := observe.Object(tc.event)
			e, isEvent := o.(*facts.Event)
			if !ok || !isEvent {
				t.Fatalf("%T is no event", o)
			}
			if diff := cmp.Diff(tc.want, []any{e.Count, e.First, e.Last}); diff != "" {
				t.Errorf("times (-want +got):\n%s", diff)
			}
			if e.Container != "web" || e.Regarding != (facts.Ref{Kind: "Pod", Namespace: "default", Name: "web"}) {
				t.Errorf("about %v in %q", e.Regarding, e.Container)
			}
		})
	}
}

func TestCordoned(t *testing.T) {
	managed := metav1.ManagedFieldsEntry{Time: new(at(time.Minute)), FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{}}
	managed.FieldsV1.SetRawBytes([]byte(`{"f:spec":{"f:unschedulable":{}}}`))
	for name, tc := range map[string]struct {
		node corev1.Node
		want time.Time
	}{
		"not":                 {corev1.Node{}, time.Time{}},
		"nobody says when":    {corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}}, time.Time{}},
		"the taint says when": {corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: "node.kubernetes.io/unschedulable", TimeAdded: new(at(0))}}}}, start},
		"the fields say when": {corev1.Node{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{managed}}, Spec: corev1.NodeSpec{Unschedulable: true}}, start.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := observe.Node(&tc.node).Cordoned; !got.Equal(tc.want) {
				t.Errorf("cordoned %s, want %s", got, tc.want)
			}
		})
	}
}

// Thresholds pick nodes by their labels.
func TestLabelsOfNodes(t *testing.T) {
	got := observe.Node(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pool": "a"}}}).Labels
	if diff := cmp.Diff(map[string]string{"pool": "a"}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// Every kind that is said to be understood is.
func TestDecode(t *testing.T) {
	for _, kind := range observe.Kinds() {
		apiVersion, name, _ := strings.Cut(kind, " ")
		content := `{"apiVersion":"` + apiVersion + `","kind":"` + name + `","metadata":{"name":"x","namespace":"y","uid":"z"},` +
			`"involvedObject":{"kind":"Pod","name":"x"},"regarding":{"kind":"Pod","name":"x"}}`
		o, err := observe.Decode(apiVersion, name, []byte(content))
		if err != nil || o == nil || o.About().UID != "z" || o.About().Kind == "" {
			t.Errorf("%s became %+v: %v", kind, o, err)
		}
		if !observe.Known(apiVersion, name) {
			t.Errorf("%s is not known", kind)
		}
	}
	for _, apiVersion := range []string{"v1", "events.k8s.io/v1"} {
		if o, err := observe.Decode(apiVersion, "Event", []byte(`{"metadata":{"name":"x"}}`)); err == nil {
			t.Errorf("an event of %s about nothing became %+v", apiVersion, o)
		}
	}
	if o, err := observe.Decode("v1", "ConfigMap", []byte(`{}`)); o != nil || err != nil || observe.Known("v1", "ConfigMap") {
		t.Errorf("a ConfigMap became %v: %v", o, err)
	}
	if _, ok := observe.Object(&corev1.ConfigMap{}); ok {
		t.Error("a ConfigMap is looked at")
	}
}
