// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package kubelet

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareUnexported = cmp.AllowUnexported(volume{}, container{}, told{}, news{})

// summaryV2 is what a kubelet of a node with cgroup v2 serves, shortened.
const summaryV2 = `{
 "node": {
  "nodeName": "worker-1",
  "systemContainers": [{"name": "kubelet", "startTime": "2026-11-20T08:00:01Z", "memory": {"time": "2026-11-23T10:00:03Z", "workingSetBytes": 61865984}}],
  "startTime": "2026-11-20T07:59:40Z",
  "cpu": {"time": "2026-11-23T10:00:05Z", "usageNanoCores": 181503541, "psi": {"full": {"total": 0, "avg10": 0, "avg60": 0, "avg300": 0}, "some": {"total": 11, "avg10": 0.11, "avg60": 1e-2, "avg300": 0}}},
  "fs": {"time": "2026-11-23T10:00:05Z", "availableBytes": 71540109312, "capacityBytes": 103865303040, "inodesFree": 6200000, "inodes": 6451200},
  "runtime": {"imageFs": {"availableBytes": 71540109312}},
  "rlimit": {"time": "2026-11-23T10:00:06Z", "maxpid": 4194304, "curproc": 820}
 },
 "pods": [
  {
   "podRef": {"name": "db-0", "namespace": "shop", "uid": "6a1f"},
   "startTime": "2026-11-21T07:00:00Z",
   "containers": [
    {"name": "postgres", "startTime": "2026-11-21T07:00:09Z", "memory": {"time": "2026-11-23T10:00:01Z", "workingSetBytes": 912680550, "availableBytes": 161061274},
     "rootfs": {"availableBytes": 71540109312}, "logs": {"inodesUsed": 1}},
    {"name": "exporter", "startTime": "2026-11-21T07:00:10Z"}
   ],
   "volume": [
    {"time": "2026-11-23T09:59:41Z", "availableBytes": 214748364, "capacityBytes": 10737418240, "usedBytes": 10522669876, "inodesFree": 650000, "inodes": 655360, "inodesUsed": 5360,
     "name": "data", "pvcRef": {"name": "data-db-0", "namespace": "shop"}, "volumeHealthStats": {"abnormal": false}},
    {"time": "2026-11-23T09:59:41Z", "availableBytes": 1073729536, "capacityBytes": 1073741824, "name": "kube-api-access-x7k2p"}
   ],
   "ephemeral-storage": {"availableBytes": 71540109312}
  },
  {"podRef": {"name": "static-web", "namespace": "kube-system", "uid": "7b"}, "startTime": null, "containers": null},
  {"podRef": {"name": "reader", "namespace": "shop", "uid": "8c"}, "containers": [],
   "volume": [{"time": "2026-11-23T09:59:55Z", "availableBytes": 204748364, "capacityBytes": 10737418240, "name": "shared", "pvcRef": {"name": "data-db-0", "namespace": "shop"}}]},
  {"podRef": {"name": "new", "namespace": "shop", "uid": "9d"}, "containers": [],
   "volume": [{"time": null, "name": "cache", "pvcRef": {"name": "cache", "namespace": "shop"}},
              {"time": "2026-11-23T09:59:55Z", "name": "none", "pvcRef": {"name": "", "namespace": ""}},
              {"time": "2026-11-23T09:59:55Z", "availableBytes": 5, "name": "half", "inodes": 10, "inodesFree": 18446744073709551615, "pvcRef": {"name": "half", "namespace": "shop"}}]}
 ]
}`

func TestReadSummary(t *testing.T) {
	t.Parallel()
	measured := time.Date(2026, 11, 23, 9, 59, 55, 0, time.UTC)
	tests := map[string]struct {
		document string
		want     []volume
		fails    bool
	}{
		"a node": {document: summaryV2, want: []volume{
			{namespace: "shop", claim: "data-db-0", measured: measured, capacity: 10737418240, available: 204748364},
			{namespace: "shop", claim: "cache"},
			{namespace: "shop", claim: "half", measured: measured, inodes: 10, inodesFree: 1<<63 - 1},
		}},
		"no pods":                 {document: `{"node":{"nodeName":"a"},"pods":[]}`},
		"null pods":               {document: `{"pods":null}`},
		"pods first":              {document: `{"pods":[{"volume":[]}],"node":{}}`},
		"a pod that is no claim":  {document: `{"pods":[{"volume":[{"name":"a","capacityBytes":1}]}]}`},
		"nothing":                 {document: ``, fails: true},
		"another document":        {document: `{"kind":"Status"}`, fails: true},
		"pods are no list":        {document: `{"pods":{}}`, fails: true},
		"a page":                  {document: `<html>`, fails: true},
		"a list":                  {document: `[]`, fails: true},
		"cut off in a pod":        {document: summaryV2[:1900], fails: true},
		"cut off behind the pods": {document: `{"pods":[]`, fails: true},
		"cut off in the node":     {document: summaryV2[:300], fails: true},
		"a size that is none":     {document: `{"pods":[{"volume":[{"capacityBytes":-1,"pvcRef":{"name":"a","namespace":"b"}}]}]}`, fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readSummary(strings.NewReader(test.document))
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(test.want, got, compareUnexported); diff != "" {
				t.Errorf("volumes (-want +got):\n%s", diff)
			}
		})
	}
}

// cadvisorV2 is what a kubelet serves, shortened: with a node, a pod's cgroup, its
// pause container, a container with both limits and one with none.
const cadvisorV2 = `# HELP cadvisor_version_info A metric with a constant '1' value labeled by kernel version, OS version.
# TYPE cadvisor_version_info gauge
cadvisor_version_info{cadvisorRevision="",cadvisorVersion="",dockerVersion="",kernelVersion="6.12.48",osVersion="Debian"} 1
# HELP container_cpu_cfs_periods_total Number of elapsed enforcement period intervals.
# TYPE container_cpu_cfs_periods_total counter
container_cpu_cfs_periods_total{container="",id="/kubepods.slice/pod6a1f.slice",image="",name="",namespace="shop",pod="db-0"} 9000 1763892005123
container_cpu_cfs_periods_total{container="postgres",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="docker.io/library/postgres@sha256:1",name="1",namespace="shop",pod="db-0"} 1.048576e+06 1763892005123
# TYPE container_cpu_cfs_throttled_periods_total counter
container_cpu_cfs_throttled_periods_total{container="postgres",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="docker.io/library/postgres@sha256:1",name="1",namespace="shop",pod="db-0"} 2048 1763892005123
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="postgres",cpu="total",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="",name="1",namespace="shop",pod="db-0"} 5127.3 1763892005123
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="",id="/",image="",name="",namespace="",pod=""} 2.5e+09 1763892004000
container_memory_working_set_bytes{container="",id="/kubepods.slice/pod6a1f.slice/cri-0.scope",image="registry.k8s.io/pause:3.10",name="0",namespace="shop",pod="db-0"} 217088 1763892004000
container_memory_working_set_bytes{container="postgres",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="docker.io/library/postgres@sha256:1",name="1",namespace="shop",pod="db-0"} 9.1268055e+08 1763892005200
container_memory_working_set_bytes{container="migrate",id="/kubepods.slice/pod6a1f.slice/cri-9.scope",image="a",name="9",namespace="shop",pod="db-0"} 1e+06 1763892005200
# TYPE container_spec_memory_limit_bytes gauge
container_spec_memory_limit_bytes{container="",id="/kubepods.slice/pod6a1f.slice/cri-0.scope",image="registry.k8s.io/pause:3.10",name="0",namespace="shop",pod="db-0"} 0
container_spec_memory_limit_bytes{container="postgres",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="docker.io/library/postgres@sha256:1",name="1",namespace="shop",pod="db-0"} 1.073741824e+09
container_spec_memory_limit_bytes{container="migrate",id="/kubepods.slice/pod6a1f.slice/cri-9.scope",image="a",name="9",namespace="shop",pod="db-0"} 0
container_spec_memory_swap_limit_bytes{container="postgres",id="/kubepods.slice/pod6a1f.slice/cri-1.scope",image="",name="1",namespace="shop",pod="db-0"} 1.073741824e+09
machine_memory_bytes{boot_id="a",machine_id="b",system_uuid="c"} 1.6e+10
`

// named makes a line about a container.
func named(family, id, name, rest string) string {
	return family + `{container="` + name + `",id="` + id + `",image="i",name="n",namespace="shop",pod="web"} ` + rest + "\n"
}

func TestReadContainers(t *testing.T) {
	t.Parallel()
	const id = "/kubepods/burstable/pod1/2"
	web := func(c container) []container {
		c.namespace, c.pod, c.name = "shop", "web", "app"
		return []container{c}
	}
	tests := map[string]struct {
		document string
		want     []container
		fails    bool
	}{
		"a node with cgroup v2": {document: cadvisorV2, want: []container{
			{namespace: "shop", pod: "db-0", name: "postgres", measured: 1763892005200, workingSet: 912680550, memoryLimit: 1 << 30, periods: 1 << 20, throttled: 2048},
		}},
		"cgroup v1: no limit is a large number": {
			document: named(familyPeriods, id, "app", "10") + named(familyLimit, id, "app", "9.223372036854772e+18"), want: web(container{periods: 10}),
		},
		"an old runtime's pause container": {document: named(familyLimit, id, "POD", "1000"), want: []container{}},
		"several containers": {
			document: named(familyLimit, "/b", "b", "7") + named(familyLimit, "/a", "a", "6"),
			want:     []container{{namespace: "shop", pod: "web", name: "a", memoryLimit: 6}, {namespace: "shop", pod: "web", name: "b", memoryLimit: 7}},
		},
		"a container that was replaced": {
			document: named(familyWorkingSet, "/new", "app", "5 200") + named(familyWorkingSet, "/old", "app", "99 100") + named(familyLimit, "/new", "app", "100") + named(familyLimit, "/old", "app", "100"),
			want:     web(container{measured: 200, workingSet: 5, memoryLimit: 100}),
		},
		"numbers that are none": {
			document: named(familyLimit, id, "app", "100") + named(familyWorkingSet, id, "app", "NaN 5") + named(familyPeriods, id, "app", "+Inf") +
				named(familyThrottled, id, "app", "-1") + named(familyWorkingSet, id, "app", "many"),
			want: web(container{memoryLimit: 100}),
		},
		"a moment that is none": {document: named(familyLimit, id, "app", "100 soon"), want: web(container{memoryLimit: 100})},
		"quotes and braces in labels": {
			document: familyLimit + `{container="a\"}p\\p",id="/x",image="},{=\"",namespace="shop",pod="w\neb",} 3` + "\n",
			want:     []container{{namespace: "shop", pod: "w\neb", name: `a"}p\p`, memoryLimit: 3}},
		},
		"no end of line": {document: strings.TrimSuffix(named(familyLimit, id, "app", "8"), "\n"), want: web(container{memoryLimit: 8})},
		"windows":        {document: strings.ReplaceAll(named(familyLimit, id, "app", "8 9"), "\n", "\r\n"), want: web(container{memoryLimit: 8, measured: 9})},
		"a huge label": {
			document: named(familyLimit, id, "app", "8") + named(familyWorkingSet, id+strings.Repeat("x", 3*maxLine), "app", "5") + named(familyPeriods, id, "app", "6"),
			want:     web(container{memoryLimit: 8, periods: 6}),
		},
		"damaged lines": {
			document: familyLimit + "{container=\"app\n" + familyLimit + "{container=app} 3\n" + familyLimit + " 3\n" + familyLimit + "{}\n" + familyLimit + "{\n" + named(familyLimit, id, "app", "8"),
			want:     web(container{memoryLimit: 8}),
		},
		"two containers in one cgroup": {document: named(familyLimit, id, "app", "8") + named(familyPeriods, id, "other", "3"), want: web(container{memoryLimit: 8})},
		"only the node":                {document: familyWorkingSet + `{container="",id="/",namespace="",pod=""} 3` + "\n", want: []container{}},
		"nothing":                      {document: "", fails: true},
		"another document":             {document: "<html>\n", fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readContainers(strings.NewReader(test.document))
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			slices.SortFunc(got, func(a, b container) int { return strings.Compare(a.name, b.name) })
			if diff := cmp.Diff(test.want, got, compareUnexported); diff != "" {
				t.Errorf("containers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLimitOfAnAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		left  int64
		fails bool
	}{"fits": {left: 6}, "does not": {left: 5, fails: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := io.ReadAll(&limited{ReadCloser: io.NopCloser(strings.NewReader("12345")), left: test.left})
			if errors.Is(err, errTooLarge) != test.fails {
				t.Errorf("error %v", err)
			}
		})
	}
	endless := io.MultiReader(strings.NewReader(`{"pods":[{"podRef":{"name":"`), repeated('x'))
	if _, err := readSummary(&limited{ReadCloser: io.NopCloser(endless), left: 1 << 20}); !errors.Is(err, errTooLarge) {
		t.Errorf("an endless Summary: %v", err)
	}
	if _, err := readContainers(&limited{ReadCloser: io.NopCloser(repeated('x')), left: 1 << 20}); !errors.Is(err, errTooLarge) {
		t.Errorf("an endless line: %v", err)
	}
}

func TestANodeHasOnlySoMany(t *testing.T) {
	t.Parallel()
	var summary, metrics strings.Builder
	for n := range maxObjects + 1 {
		fmt.Fprintf(&summary, `,{"pvcRef":{"namespace":"shop","name":"c%d"}}`, n)
		metrics.WriteString(named(familyLimit, fmt.Sprint("/", n), fmt.Sprint("c", n), "5"))
	}
	if _, err := readSummary(strings.NewReader(`{"pods":[{"volume":[` + summary.String()[1:] + `]}]}`)); !errors.Is(err, errTooMany) {
		t.Errorf("claims: %v", err)
	}
	if _, err := readContainers(strings.NewReader(metrics.String())); !errors.Is(err, errTooMany) {
		t.Errorf("containers: %v", err)
	}
	long := strings.Repeat("x", maxName+1)
	volumes, err := readSummary(strings.NewReader(`{"pods":[{"volume":[{"pvcRef":{"namespace":"shop","name":"` + long + `"}}]}]}`))
	containers, other := readContainers(strings.NewReader(named(familyLimit, "/", long, "5")))
	if len(volumes) != 0 || len(containers) != 0 || err != nil || other != nil {
		t.Errorf("%d claims and %d containers with names that none has, %v, %v", len(volumes), len(containers), err, other)
	}
}

// repeated is a byte for ever.
type repeated byte

// Read implements io.Reader.
func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// A line that is not wanted costs no memory, and a wanted one almost none.
func TestReadContainersAllocatesLittle(t *testing.T) {
	unwanted := strings.Repeat(strings.ReplaceAll(cadvisorV2, "container_", "container_x"), 200)
	one := testing.AllocsPerRun(3, func() { _, _ = readContainers(strings.NewReader(cadvisorV2)) })
	many := testing.AllocsPerRun(3, func() { _, _ = readContainers(strings.NewReader(cadvisorV2 + unwanted)) })
	if many > one+2 {
		t.Errorf("%v allocations for a short document, %v for one with 3,000 lines that are not wanted", one, many)
	}
}

// A node with 200 containers that have limits.
func BenchmarkReadContainers(b *testing.B) {
	var document strings.Builder
	families := []string{familyPeriods, familyThrottled, familyWorkingSet, familyLimit}
	for n := range 60 {
		family := fmt.Sprintf("container_other_%d", n)
		if n < len(families) {
			family = families[n]
		}
		for c := range 200 {
			fmt.Fprintf(&document, `%s{container="app",id="/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6a1f%04d.slice/cri-containerd-6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f.scope",`+
				`image="registry.example/shop/app@sha256:6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f6a1f",name="6a1f6a1f6a1f6a1f6a1f",namespace="shop",pod="web-%04d"} 1.048576e+06 1763892005123`+"\n", family, c, c)
		}
	}
	b.SetBytes(int64(document.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if got, err := readContainers(strings.NewReader(document.String())); err != nil || len(got) != 200 {
			b.Fatal(len(got), err)
		}
	}
}

func FuzzReadSummary(f *testing.F) {
	f.Add(summaryV2)
	f.Add(`{"pods":[{"volume":[{"time":"0000-01-01T00:00:00Z","capacityBytes":1,"pvcRef":{"name":"a","namespace":"b"}}]}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		volumes, err := readSummary(strings.NewReader(document))
		if err != nil && volumes != nil {
			t.Errorf("%d volumes with the error %v", len(volumes), err)
		}
		known := map[[2]string]bool{}
		for _, v := range volumes {
			if v.namespace == "" || v.claim == "" || v.available < 0 || v.capacity < 0 || v.inodes < 0 || v.inodesFree < 0 {
				t.Errorf("volume %+v", v)
			}
			if key := [2]string{v.namespace, v.claim}; known[key] {
				t.Errorf("claim %q twice", key)
			} else {
				known[key] = true
			}
		}
	})
}

func FuzzReadContainers(f *testing.F) {
	f.Add(cadvisorV2)
	f.Add(familyLimit + `{container="a\"}p\\p",id="/x",namespace="s\n",pod="w",} 3 4`)
	f.Add(familyPeriods + `{container="a",id="",namespace="s",pod="w"} 1e400`)
	f.Fuzz(func(t *testing.T, document string) {
		containers, err := readContainers(strings.NewReader(document))
		if err != nil && len(containers) > 0 {
			t.Errorf("%d containers with the error %v", len(containers), err)
		}
		known := map[[3]string]bool{}
		for _, c := range containers {
			if c.namespace == "" || c.pod == "" || c.name == "" || c.workingSet < 0 || c.memoryLimit < 0 || c.measured < 0 || c.memoryLimit == 0 && c.periods == 0 {
				t.Errorf("container %+v", c)
			}
			if key := [3]string{c.namespace, c.pod, c.name}; known[key] {
				t.Errorf("container %q twice", key)
			} else {
				known[key] = true
			}
		}
		again, err2 := readContainers(strings.NewReader(document))
		if (err == nil) != (err2 == nil) || len(again) != len(containers) {
			t.Errorf("%d containers, then %d", len(containers), len(again))
		}
	})
}
