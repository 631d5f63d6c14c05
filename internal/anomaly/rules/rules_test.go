// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package rules_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/facts"
	"github.com/atlhyper/atlhyper/internal/anomaly/rules"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"pulling https://bob:hunter2@registry.example.com/web":                       "pulling https://[redacted]@registry.example.com/web",
		"postgres://:hunter2@db/shop":                                                "postgres://[redacted]@db/shop",
		"DB_PASSWORD=hunter2 is wrong":                                               "DB_PASSWORD=[redacted] is wrong",
		`{"token":"abc","user":"bob"}`:                                               `{"token":"[redacted]","user":"bob"}`,
		"Authorization: Bearer abc.def.ghi refused":                                  "Authorization: Bearer [redacted] refused",
		`secret "db" not found`:                                                      `secret "db" not found`,
		"sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2ln to it":                    "sent [redacted] to it",
		"key AKIAIOSFODNN7EXAMPLE refused":                                           "key [redacted] refused",
		"a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb": "a\n[redacted]\nb",
		"a\n-----BEGIN PRIVATE KEY-----\nMIIE":                                       "a\n[redacted]",
		"MIIE\n-----END PRIVATE KEY-----\nb":                                         "[redacted]\nb",
		"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\nb\n-----BEGIN EC PRIVATE KEY-----\nMII": "[redacted]\nb\n[redacted]",
		`couldn't find key password in Secret default/db`:                                                   `couldn't find key password in Secret default/db`,
		"dial tcp 10.0.0.1:443: i/o timeout":                                                                "dial tcp 10.0.0.1:443: i/o timeout",
		"http://example.com/path?a=b":                                                                       "http://example.com/path?a=b",
		"exceeded quota: team, requested: cpu=1, limited: cpu=2":                                            "exceeded quota: team, requested: cpu=1, limited: cpu=2",
	} {
		if got := rules.Redact(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func meta(kind, namespace, name string) facts.Meta {
	return facts.Meta{Ref: facts.Ref{Kind: kind, Namespace: namespace, Name: name}, UID: name}
}

// found judges whatever a world says has to be judged.
func found(w *rules.World, touched []facts.Ref) []string {
	var list []string
	for _, ref := range append([]facts.Ref(nil), touched...) {
		for _, f := range w.Findings(ref, now) {
			list = append(list, string(f.Rule)+" of "+f.Group.Kind+" "+f.Group.Name)
		}
	}
	return list
}

// What an object is judged by besides itself has it judged again.
func TestDependents(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	crashing := &facts.Pod{
		Meta: meta(facts.KindPod, "default", "import-1-x"), Phase: facts.PhaseRunning,
		Containers: []facts.Container{{Name: "c", Restarts: 3, Waiting: facts.Waiting{Reason: "CrashLoopBackOff"}}},
	}
	crashing.Owner = facts.Owner{Kind: facts.KindJob, Name: "import-1"}
	if diff := cmp.Diff([]string{"PodCrashLoopBackOff of Job import-1"}, found(w, w.Put(crashing, now))); diff != "" {
		t.Errorf("before the Job is known:\n%s", diff)
	}
	job := &facts.Job{Meta: meta(facts.KindJob, "default", "import-1")}
	job.Owner = facts.Owner{Kind: facts.KindCronJob, Name: "import"}
	if diff := cmp.Diff([]string{"PodCrashLoopBackOff of CronJob import"}, found(w, w.Put(job, now))); diff != "" {
		t.Errorf("once it is:\n%s", diff)
	}
	if touched := w.Put(job, now); len(touched) != 1 {
		t.Errorf("the same Job again has %v judged", touched)
	}
	if diff := cmp.Diff([]string{"PodCrashLoopBackOff of Job import-1"}, found(w, w.Delete(job.Ref))); diff != "" {
		t.Errorf("and when it is gone:\n%s", diff)
	}
	w.Delete(crashing.Ref)
	if touched := w.Put(job, now); len(touched) != 1 {
		t.Errorf("a pod that is gone is judged: %v", touched)
	}
}

func TestIngressFollowsItsServices(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	i := &facts.Ingress{Meta: meta(facts.KindIngress, "default", "shop"), Backends: []facts.Backend{{Service: "web", PortName: "http"}}}
	s := func(port string) *facts.Service {
		return &facts.Service{Meta: meta(facts.KindService, "default", "web"), Ports: []facts.Port{{Name: port, Number: 80}}}
	}
	missing := []string{"IngressBackendMissing of Ingress shop"}
	if diff := cmp.Diff(missing, found(w, w.Put(i, now))); diff != "" {
		t.Errorf("before the Service:\n%s", diff)
	}
	if got := found(w, w.Put(s("grpc"), now)); len(got) != 1 {
		t.Errorf("with another port: %v", got)
	}
	if got := found(w, w.Put(s("http"), now)); len(got) != 0 {
		t.Errorf("with its port: %v", got)
	}
	if diff := cmp.Diff(missing, found(w, w.Delete(s("http").Ref))); diff != "" {
		t.Errorf("without the Service:\n%s", diff)
	}
}

// A claim that waits for its first consumer is judged when a pod wants it.
func TestClaimFollowsItsPods(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	w.Put(&facts.StorageClass{Meta: meta(facts.KindStorageClass, "", "fast"), WaitsForConsumer: true}, now)
	claim := &facts.Claim{Meta: meta(facts.KindClaim, "default", "data"), Phase: "Pending", StorageClass: "fast"}
	if got := found(w, w.Put(claim, now)); len(got) != 0 {
		t.Errorf("without a pod: %v", got)
	}
	p := &facts.Pod{Meta: meta(facts.KindPod, "default", "web"), Phase: facts.PhasePending, Claims: []string{"data"}, Queued: true}
	p.Owner = facts.Owner{Kind: facts.KindJob, Name: "import"}
	want := []string{"PVCPending of PersistentVolumeClaim data"}
	if diff := cmp.Diff(want, found(w, w.Put(p, now))); diff != "" {
		t.Errorf("with a pod:\n%s", diff)
	}
	if got := found(w, w.Delete(p.Ref)); len(got) != 0 {
		t.Errorf("after the pod: %v", got)
	}
}

func TestNodeTotals(t *testing.T) {
	w := rules.NewWorld(rules.Options{})
	node := func(name string, cpu int64) *facts.Node {
		n := &facts.Node{Meta: meta(facts.KindNode, "", name), Pods: 2, CPUMillis: cpu}
		return n
	}
	p := func(name string, cpu int64) *facts.Pod {
		return &facts.Pod{Meta: meta(facts.KindPod, "default", name), Phase: facts.PhaseRunning, Node: "a", CPUMillis: cpu}
	}
	w.Put(node("a", 1000), now)
	w.Put(node("b", 1000), now)
	if got := found(w, w.Put(p("p1", 600), now)); len(got) != 0 {
		t.Errorf("with one pod: %v", got)
	}
	want := []string{"NodePodsNearCapacity of Node a", "ClusterOvercommitted of Cluster cpu"}
	got := found(w, w.Put(p("p2", 600), now))
	if diff := cmp.Diff(len(want), len(got)); diff != "" {
		t.Errorf("with two: %v, want %v", got, want)
	}
	// A third node is room enough.
	if got := found(w, w.Put(node("c", 1000), now)); len(got) != 0 {
		t.Errorf("with three nodes: %v", got)
	}
	if got := found(w, w.Delete(p("p1", 0).Ref)); len(got) != 0 {
		t.Errorf("with one pod less: %v", got)
	}
}
