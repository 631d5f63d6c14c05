// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// A file that is cut off anywhere says what it says, or nothing; never anything
// else. Series of interfaces may be others: which of them count depends on which
// there are.
func TestTruncatedFilesDoNotLie(t *testing.T) {
	for _, name := range []string{"modern-20-fields", "cgroup-v1-14-fields"} {
		m := machines()[name]
		c, dir := openTree(t, name)
		whole := collect(t, c, treeStart)
		for _, path := range slices.Sorted(maps.Keys(m.a)) {
			content := m.a[path]
			if !strings.HasPrefix(path, "proc/") || isOneNumber(content) {
				continue // a number alone does not show that it was cut
			}
			for cut := 0; cut < len(content); cut += 1 + len(content)/60 {
				writeFile(t, filepath.Join(dir, path), content[:cut])
				s := collect(t, newTestCollectorLike(t, c), treeStart)
				for i, series := range s.Series {
					v, ok := whole.Value(series.Metric, series.Label)
					switch {
					case series.Metric == telemetry.MetricCollectorCPU, strings.HasPrefix(series.Metric.String(), "net_physical"):
					case strings.HasPrefix(series.Metric.String(), "memory_") && path == "proc/meminfo":
						// Available memory is estimated when the line for it is gone.
						if v != s.Values[i] && !estimated(&s) {
							t.Fatalf("%s cut at %d of %d: %s is %g, was %g", path, cut, len(content), series.Metric, s.Values[i], v)
						}
					case path == "proc/1/mountinfo" && (series.Metric == telemetry.MetricFSRole || !ok):
						// Another mount stands for its filesystem.
					case !ok || v != s.Values[i]:
						t.Fatalf("%s cut at %d of %d: %s %q is %g, was %g", path, cut, len(content), series.Metric, series.Label, s.Values[i], v)
					}
				}
			}
			writeFile(t, filepath.Join(dir, path), content)
		}
	}
}

func estimated(s *telemetry.NodeSample) bool {
	v, _ := s.Value(telemetry.MetricMemoryAvailableEstimated, "")
	return v == 1
}

func isOneNumber(content string) bool { return len(strings.Fields(content)) == 1 }

// newTestCollectorLike returns another collector of the same tree.
func newTestCollectorLike(t testing.TB, c *Collector) *Collector {
	t.Helper()
	other, err := New(c.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	other.reader.clock = c.reader.clock
	return other
}

// FuzzFiles puts anything in place of each file, before the first sample or before
// the second.
func FuzzFiles(f *testing.F) {
	m := modern()
	paths := slices.Sorted(maps.Keys(m.a))
	paths = slices.DeleteFunc(paths, func(p string) bool { return strings.HasPrefix(m.a[p], "-> ") })
	for i, path := range paths {
		content := m.a[path]
		f.Add(uint8(i), false, []byte(content))
		f.Add(uint8(i), true, []byte(content)[:len(content)/2])
		f.Add(uint8(i), true, []byte(strings.Repeat("9", 25)+" "+content))
		f.Add(uint8(i), true, []byte(strings.ReplaceAll(content, "1", "-1")))
	}
	// Both moments stay where they are, and a link says which one it is.
	dir := f.TempDir()
	overlay(f, treePath("modern-20-fields", "a"), dir+"/a")
	overlay(f, treePath("modern-20-fields", "a"), dir+"/b")
	overlay(f, treePath("modern-20-fields", "b"), dir+"/b")
	now := dir + "/now"
	f.Fuzz(func(t *testing.T, which uint8, second bool, content []byte) {
		path := paths[int(which)%len(paths)]
		moment := dir + "/a/"
		if second {
			moment = dir + "/b/"
		}
		original := readTreeFile(t, moment+path)
		writeBytes(t, moment+path, content)
		defer writeFile(t, moment+path, original)

		writeFile(t, now, "-> a")
		c := newTestCollector(t, now, func(o *Options) { o.Statfs = statfsFrom(m.statfs, now) })
		takeAnything(t, c, treeStart)
		writeFile(t, now, "-> b")
		takeAnything(t, c, treeStart.Add(15*time.Second))
	})
}

// takeAnything takes a sample, which is valid whatever was read.
func takeAnything(t *testing.T, c *Collector, at time.Time) {
	t.Helper()
	s, err := c.Collect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	checkSample(t, &s)
}

func writeBytes(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// FuzzParsers gives anything to every parser, twice where two moments are compared.
func FuzzParsers(f *testing.F) {
	for _, name := range []string{"modern-20-fields", "cgroup-v1-14-fields", "vm-with-steal"} {
		err := filepath.WalkDir(treePath(name, "a"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Type()&fs.ModeSymlink != 0 {
				return err
			}
			data := []byte(readTreeFile(f, path))
			f.Add(data, data[:len(data)/2])
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	all := func(name []byte) string { return telemetry.Clip(string(name), telemetry.MaxLabelValue) }
	f.Fuzz(func(t *testing.T, a, b []byte) {
		parse := func(data []byte) (c Counters) {
			parseStat(data, &c.Stat)
			parseMemory(data, &c.Memory)
			parsePaging(data, &c.Paging)
			c.Load = parseLoad(data)
			for r := range c.Pressure {
				c.Pressure[r] = parsePressure(data)
			}
			c.Disks = Disks{Known: true, List: parseDisks(data, nil, all)}
			c.Network = Network{Scope: telemetry.NetworkHost, List: parseInterfaces(data, nil, all)}
			c.Uptime, c.HasUptime = parseUptime(data)
			c.FileHandles = parseFileHandles(data)
			c.Conntrack.Used = parseConntrack(data)
			for _, m := range parseMounts(data, nil) {
				c.Filesystems = append(c.Filesystems, Filesystem{Mount: m, Known: true, Counts: SpaceCounts{Blocks: 1, BlockSize: 1}})
			}
			if celsius, ok := parseMillidegrees(data); ok {
				c.Temperatures = []Temperature{{Label: "x", Celsius: celsius}}
			}
			parseSpeed(data)
			parseLinkState(data)
			parseBootID(data)
			isStacked(data)
			return c
		}
		prev, cur := parse(a), parse(b)
		at := 15 * time.Second
		cur.Stat.At, cur.Disks.At, cur.Network.At, cur.Paging.At = at, at, at, at
		for r := range cur.Pressure {
			cur.Pressure[r].At = at
		}
		var builder builder
		builder.all(&prev, &cur, 4096)
		for i, v := range builder.values {
			m, _ := builder.series[i].Metric.Lookup()
			if v < 0 && m.Unit != telemetry.UnitCelsius || m.Unit == telemetry.UnitPercent && v > 100 && !mayPass100(m.ID) {
				t.Errorf("%s %q is %g", m.Name, builder.series[i].Label, v)
			}
		}
	})
}

// Files are read to their end however long they are, and not without one.
func TestLongFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "long")
	var buffer []byte
	for size, ok := range map[int]bool{0: true, 1: true, firstBuffer - 1: true, firstBuffer: true, firstBuffer + 1: true, maxFile - 1: true, maxFile: false} {
		content := bytes.Repeat([]byte("x"), size)
		writeBytes(t, path, content)
		for _, single := range []bool{true, false} {
			s := source{path: path, stays: true, single: single}
			for range 2 {
				got, err := s.read(&buffer)
				if (err == nil) != ok || ok && !bytes.Equal(got, content) {
					t.Errorf("%d bytes: read %d, %v", size, len(got), err)
				}
			}
			s.close()
		}
	}
}

// A file that stays open and is taken away is opened anew.
func TestSourcesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var buffer []byte
	s := source{path: path, stays: true}
	defer s.close()
	if _, err := s.read(&buffer); !isAbsent(err) {
		t.Errorf("without a file the error is %v", err)
	}
	for _, content := range []string{"one", "two"} {
		writeFile(t, path, content)
		if got, err := s.read(&buffer); err != nil || string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
		if !s.open {
			t.Error("it does not stay open")
		}
	}
}
