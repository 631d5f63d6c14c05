// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

var update = flag.Bool("update", false, "write the trees of testdata and what is measured in them anew")

// treeStart is the moment of a tree's folder a; b is 15 s later.
var treeStart = time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)

// machine is a recorded or invented machine at two moments: a file's contents by
// its path, "-> target" for a symbolic link. b has the files that differ from a.
type machine struct {
	a, b map[string]string
	// statfs is what filesystems answer, by mount point: blocks, free, available,
	// block size, inodes, free inodes; or the word "denied" or "stale".
	statfs   map[string]string
	pageSize int
	root     string
}

func treePath(name string, parts ...string) string {
	return filepath.Join(append([]string{"testdata", "trees", name}, parts...)...)
}

// The trees are files, so that people can look at them; this keeps them what the
// generator in machines_test.go makes.
func TestTreesAreWhatTheGeneratorMakes(t *testing.T) {
	known := machines()
	for name, m := range known {
		for folder, files := range map[string]map[string]string{"a": m.a, "b": m.b, ".": {"statfs": statfsText(m.statfs)}} {
			for path, content := range files {
				full := treePath(name, folder, path)
				if *update {
					writeFile(t, full, content)
				}
				if got := readTreeFile(t, full); got != content {
					t.Errorf("%s is not what the generator makes: run go test -run Tree -update", full)
				}
			}
		}
	}
	entries, err := os.ReadDir(treePath(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := known[e.Name()]; !ok {
			t.Errorf("nothing makes %s", treePath(e.Name()))
		}
	}
}

// What is measured in each tree, in full, is beside it.
func TestTreesGolden(t *testing.T) {
	for name := range machines() {
		t.Run(name, func(t *testing.T) {
			_, second := measureTree(t, name)
			path := treePath(name, "want.txt")
			if *update {
				writeFile(t, path, sampleText(&second))
			}
			if diff := cmp.Diff(readTreeFile(t, path), sampleText(&second)); diff != "" {
				t.Errorf("%s differs (-want +got):\n%s", path, diff)
			}
		})
	}
}

// measureTree takes a sample at both moments of a tree.
func measureTree(t *testing.T, name string) (first, second telemetry.NodeSample) {
	t.Helper()
	c, dir := openTree(t, name)
	first = collect(t, c, treeStart)
	overlay(t, treePath(name, "b"), dir)
	return first, collect(t, c, treeStart.Add(15*time.Second))
}

// openTree copies moment a of a tree and returns a collector that reads it.
func openTree(t *testing.T, name string) (*Collector, string) {
	t.Helper()
	dir := t.TempDir()
	overlay(t, treePath(name, "a"), dir)
	m := machines()[name]
	answers := m.statfs
	c := newTestCollector(t, dir, func(o *Options) {
		o.PageSize = m.pageSize
		if o.Statfs = statfsFrom(answers, dir); m.root != "" {
			o.Root = m.root
			o.Statfs = statfsFrom(answers, m.root)
		}
	})
	return c, dir
}

// newTestCollector returns a collector of the tree in dir, for which reading takes
// no time and the clock is fine.
func newTestCollector(t testing.TB, dir string, change func(*Options)) *Collector {
	t.Helper()
	o := Options{
		Node: "node-1", Root: dir, ProcPath: filepath.Join(dir, "proc"), SysPath: filepath.Join(dir, "sys"),
		Clock:    func() Clock { return Clock{Known: true, Offset: 0.000125, Synced: true} },
		PageSize: 4096,
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.reader.clock = func() time.Time { return treeStart }
	return c
}

func collect(t testing.TB, c *Collector, now time.Time) telemetry.NodeSample {
	t.Helper()
	s, err := c.Collect(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	checkSample(t, &s)
	return s
}

// checkSample checks what holds for every sample, whatever was read.
func checkSample(t testing.TB, s *telemetry.NodeSample) {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatalf("the sample is not valid: %v", err)
	}
	seen := map[telemetry.Series]bool{}
	for i, series := range s.Series {
		m, known := series.Metric.Lookup()
		v := s.Values[i]
		switch {
		case !known:
			t.Errorf("metric %d is not known", series.Metric)
		case (m.Label == "") != (series.Label == ""):
			t.Errorf("%s has the label %q and is to have %q", m.Name, series.Label, m.Label)
		case seen[series]:
			t.Errorf("%s %s occurs twice", m.Name, series.Label)
		case v < 0 && m.Unit != telemetry.UnitCelsius && series.Metric != telemetry.MetricClockOffset:
			t.Errorf("%s %s is %g", m.Name, series.Label, v)
		case m.Unit == telemetry.UnitPercent && v > 100 && !mayPass100(series.Metric):
			t.Errorf("%s %s is %g percent", m.Name, series.Label, v)
		}
		seen[series] = true
	}
}

// mayPass100 is for shares of a limit that is not enforced, or that was lowered.
func mayPass100(m telemetry.MetricID) bool {
	return slices.Contains([]telemetry.MetricID{
		telemetry.MetricNetUtil, telemetry.MetricFileDescriptorsPercent, telemetry.MetricConntrackPercent, telemetry.MetricThreadsPercent,
	}, m)
}

// sampleText writes a sample for people, without what this machine adds to it.
func sampleText(s *telemetry.NodeSample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "boot %s interval %s scope %s\n", s.BootID, s.Interval, s.Scope)
	for i, series := range s.Series {
		if series.Metric != telemetry.MetricCollectorCPU {
			fmt.Fprintf(&b, "%s %q %.6g\n", series.Metric, series.Label, s.Values[i])
		}
	}
	return b.String()
}

// value returns a value of a sample that must be there.
func value(t testing.TB, s *telemetry.NodeSample, metric telemetry.MetricID, label string) float64 {
	t.Helper()
	v, ok := s.Value(metric, label)
	if !ok {
		t.Errorf("there is no %s %q", metric, label)
	}
	return v
}

func statfsText(answers map[string]string) string {
	var b strings.Builder
	for _, point := range slices.Sorted(maps.Keys(answers)) {
		fmt.Fprintf(&b, "%s\t%s\n", point, answers[point])
	}
	return b.String()
}

func statfsFrom(answers map[string]string, root string) func(string) (SpaceCounts, error) {
	return func(path string) (SpaceCounts, error) {
		point := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		answer, ok := answers[point]
		switch {
		case answer == "denied":
			return SpaceCounts{}, &fs.PathError{Op: "statfs", Path: path, Err: unix.EACCES}
		case answer == "stale" || !ok:
			return SpaceCounts{}, &fs.PathError{Op: "statfs", Path: path, Err: unix.ESTALE}
		}
		var n [6]uint64
		if uints([]byte(answer), n[:]) != len(n) {
			return SpaceCounts{}, errors.New("the tree has a bad line in statfs")
		}
		return SpaceCounts{n[0], n[1], n[2], n[3], n[4], n[5]}, nil
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readTreeFile(t testing.TB, path string) string {
	t.Helper()
	if target, err := os.Readlink(path); err == nil {
		return "-> " + target
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// overlay copies a folder over another; a file with the content "gone" removes one.
func overlay(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		content := readTreeFile(t, path)
		if content == "gone\n" {
			return os.RemoveAll(filepath.Join(to, relative))
		}
		writeFile(t, filepath.Join(to, relative), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
