// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

//go:build linux

package nodecollector

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// podFolder tells the child of TestFromInsideAPod where to mount.
const podFolder = "NODECOLLECTOR_TEST_POD"

// view is what a collector in a pod sees.
type view struct {
	Scope      string
	Interfaces []string
	Threads    bool
	Totals     bool
	Conntrack  bool
	Disks      int
	Filesystem bool
}

// TestFromInsideAPod runs the collector in namespaces of its own, as the kubelet
// starts a pod without hostNetwork and hostPID, as nobody and without capabilities,
// with the machine's folders mounted into it; and in pods that lack some of them.
func TestFromInsideAPod(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // nobody has to get in
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestInsideThePod$")
	child.Env = append(os.Environ(), podFolder+"="+dir)
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("running in a pod, which takes root or user namespaces: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "views.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got map[string]view
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	machine := interfacesHere(t)
	host := view{
		Scope: "host", Interfaces: machine, Threads: true, Totals: true, Disks: got["the machine's folders"].Disks, Filesystem: true,
		Conntrack: got["the machine's folders"].Conntrack,
	}
	hidden := host
	hidden.Conntrack = false
	pod := view{Scope: "pod", Interfaces: []string{"lo"}, Threads: true, Disks: host.Disks, Filesystem: true}
	lost := pod
	lost.Filesystem = got["its own folders"].Filesystem
	want := map[string]view{
		"the machine's folders":                  host,
		"its own folders":                        lost,
		"process 1 hidden":                       hidden,
		"process 1 hidden and a /sys of its own": pod,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// interfacesHere lists the interfaces of the machine that are shown.
func interfacesHere(t *testing.T) (names []string) {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if !defaultExcludeInterfaces.MatchString(n.Name) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names
}

// TestInsideThePod is the child of TestFromInsideAPod, and nothing without it.
func TestInsideThePod(t *testing.T) {
	dir := os.Getenv(podFolder)
	if dir == "" {
		return
	}
	host := filepath.Join(dir, "host")
	empty := filepath.Join(dir, "empty")
	for _, folder := range []string{"proc", "sys", "root"} {
		if err := os.MkdirAll(filepath.Join(host, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"/", filepath.Join(host, "root"), "", unix.MS_BIND | unix.MS_REC},
		{"/proc", filepath.Join(host, "proc"), "", unix.MS_BIND | unix.MS_REC},
		{"/sys", filepath.Join(host, "sys"), "", unix.MS_BIND | unix.MS_REC},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY},
	}
	for _, s := range steps {
		if err := unix.Mount(s.source, s.target, s.kind, s.flags, ""); err != nil {
			t.Fatalf("mounting %s: %v", s.target, err)
		}
	}
	views := map[string]view{
		"its own folders":       look(t, Options{Node: "pod", Root: "/"}),
		"the machine's folders": {}, "process 1 hidden": {}, "process 1 hidden and a /sys of its own": {},
	}
	whole := Options{Node: "pod", Root: filepath.Join(host, "root"), ProcPath: filepath.Join(host, "proc"), SysPath: filepath.Join(host, "sys")}
	hide := func() {
		// What hidepid does.
		if err := unix.Mount(empty, filepath.Join(host, "proc", "1"), "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("hiding process 1: %v", err)
		}
	}
	own := whole
	own.SysPath = "/sys"
	asNobody(t, func() { views["the machine's folders"] = look(t, whole) }, hide, func() {
		views["process 1 hidden"] = look(t, whole)
		views["process 1 hidden and a /sys of its own"] = look(t, own)
	}, func() {
		data, err := json.Marshal(views)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "views.json"), data, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// asNobody does the first and the third step as nobody without capabilities, where
// this is root, and the others as root.
func asNobody(t *testing.T, first, second, third, last func()) {
	t.Helper()
	const nobody = 65534
	become := func(uid int) {
		if err := syscall.Setresuid(-1, uid, -1); err != nil && !errors.Is(err, unix.EINVAL) { // not mapped
			t.Fatal(fmt.Errorf("becoming user %d: %w", uid, err))
		}
	}
	become(nobody)
	first()
	become(0)
	second()
	become(nobody)
	third()
	become(0)
	last()
}

func look(t *testing.T, o Options) (v view) {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	now := time.Now()
	collect(t, c, now)
	s := collect(t, c, now.Add(time.Second))
	v.Scope = s.Scope.String()
	disks := map[string]bool{}
	for _, series := range s.Series {
		switch series.Metric {
		case telemetry.MetricNetPhysical:
			v.Interfaces = append(v.Interfaces, series.Label)
		case telemetry.MetricThreads:
			v.Threads = true
		case telemetry.MetricNetTotalReceive:
			v.Totals = true
		case telemetry.MetricConntrack:
			v.Conntrack = true
		case telemetry.MetricDiskUtil:
			disks[series.Label] = true
		case telemetry.MetricFSUsedPercent:
			v.Filesystem = v.Filesystem || series.Label == "/"
		default:
		}
	}
	v.Disks = len(disks)
	slices.Sort(v.Interfaces)
	return v
}
