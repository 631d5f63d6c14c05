// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package nodecollector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// hanging answers for filesystems, some of which never do until they are released.
type hanging struct {
	mu    sync.Mutex
	hung  map[string]chan struct{}
	calls map[string]int
}

func newHanging(points ...string) *hanging {
	h := &hanging{hung: map[string]chan struct{}{}, calls: map[string]int{}}
	for _, p := range points {
		h.hung[p] = make(chan struct{})
	}
	return h
}

func (h *hanging) statfs(root string) func(string) (SpaceCounts, error) {
	return func(path string) (SpaceCounts, error) {
		point := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		h.mu.Lock()
		h.calls[point]++
		hung := h.hung[point]
		h.mu.Unlock()
		if hung != nil {
			<-hung
		}
		return SpaceCounts{Blocks: 100, Free: 50, Available: 50, BlockSize: 4096, Files: 10, FilesFree: 5}, nil
	}
}

func (h *hanging) release(point string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.hung[point])
	delete(h.hung, point)
}

func (h *hanging) called(point string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[point]
}

// mountsOf writes a mount table of local and remote filesystems, and returns a
// collector of it.
func mountsOf(t *testing.T, h *hanging, points ...string) *Collector {
	t.Helper()
	dir := t.TempDir()
	overlay(t, treePath("no-psi", "a"), dir)
	var table strings.Builder
	for i, point := range points {
		kind := "ext4"
		if strings.HasPrefix(point, "/nfs") {
			kind = "nfs4"
		}
		fmt.Fprintf(&table, "%d 1 8:%d / %s rw - %s /dev/x%d rw\n", 100+i, i, point, kind, i)
	}
	writeFile(t, dir+"/proc/1/mountinfo", table.String())
	return newTestCollector(t, dir, func(o *Options) { o.Statfs = h.statfs(dir) })
}

// awaitWorkers waits for goroutines of other tests, which have done their work and
// are about to end.
func awaitWorkers() {
	for buffer := make([]byte, 1<<20); bytes.Contains(buffer[:runtime.Stack(buffer, true)], []byte("(*prober).work")); {
		runtime.Gosched()
	}
}

// bubbled is how many goroutines the bubbles have. Those of tests that are over are
// no business of the one that counts.
func bubbled() int {
	buffer := make([]byte, 1<<20)
	return bytes.Count(buffer[:runtime.Stack(buffer, true)], []byte(", synctest bubble "))
}

func TestHungMountDelaysNothingAndLeaksNothing(t *testing.T) {
	awaitWorkers()
	synctest.Test(t, func(t *testing.T) {
		h := newHanging("/hung")
		c := mountsOf(t, h, "/", "/hung", "/data")
		at := time.Now()
		var goroutines int
		for i := range 100 {
			began := time.Now()
			s := collect(t, c, at.Add(time.Duration(i)*15*time.Second))
			if took := time.Since(began); i == 0 && took > 2500*time.Millisecond || i > 0 && took > 0 {
				t.Fatalf("sample %d took %s", i, took)
			}
			if got := value(t, &s, telemetry.MetricFSError, "/hung"); got != telemetry.FSErrorTimeout {
				t.Fatalf("sample %d says %g of the hung mount", i, got)
			}
			if _, ok := s.Value(telemetry.MetricFSSize, "/hung"); ok {
				t.Fatalf("sample %d has a size of the hung mount", i)
			}
			for _, well := range []string{"/", "/data"} {
				if value(t, &s, telemetry.MetricFSUsedPercent, well) != 50 || value(t, &s, telemetry.MetricFSError, well) != 0 {
					t.Fatalf("sample %d has no word of %s", i, well)
				}
			}
			synctest.Wait()
			if n := bubbled(); i == 0 {
				goroutines = n
			} else if n != goroutines {
				t.Fatalf("after %d samples there are %d goroutines, after the first there were %d", i+1, n, goroutines)
			}
		}
		if n := h.called("/hung"); n != 1 {
			t.Errorf("the hung mount was asked %d times, want once", n)
		}

		h.release("/hung")
		synctest.Wait()
		if n := bubbled(); n != goroutines-1 {
			t.Errorf("%d goroutines after the mount answered, want %d", n, goroutines-1)
		}
		s := collect(t, c, at.Add(time.Hour))
		if value(t, &s, telemetry.MetricFSError, "/hung") != 0 || value(t, &s, telemetry.MetricFSUsedPercent, "/hung") != 50 {
			t.Error("the mount answers again and is still taken for hung")
		}
	})
}

// However many hang, so many goroutines at most are stuck, and what cannot be asked
// any more is not said to be well.
func TestManyHungMounts(t *testing.T) {
	awaitWorkers()
	synctest.Test(t, func(t *testing.T) {
		var points []string
		for i := range 20 {
			points = append(points, fmt.Sprintf("/hung%d", i))
		}
		h := newHanging(points...)
		before := bubbled()
		c := mountsOf(t, h, append(points, "/")...)
		at := time.Now()
		for i := range 10 {
			s := collect(t, c, at.Add(time.Duration(i)*15*time.Second))
			synctest.Wait()
			if n := bubbled() - before; n > mostProbes {
				t.Fatalf("%d goroutines are stuck", n)
			}
			for _, p := range append(points, "/") {
				if got := value(t, &s, telemetry.MetricFSError, p); got != telemetry.FSErrorTimeout {
					t.Fatalf("sample %d says %g of %s", i, got, p)
				}
			}
		}
		for len(points) > 0 {
			var still []string
			for _, p := range points {
				if h.called(p) > 0 {
					h.release(p)
				} else {
					still = append(still, p)
				}
			}
			if len(still) == len(points) {
				t.Fatalf("nothing asks for %v any more", still)
			}
			points = still
			synctest.Wait()
			at = at.Add(time.Hour)
			collect(t, c, at)
		}
		s := collect(t, c, at.Add(time.Hour))
		if value(t, &s, telemetry.MetricFSError, "/") != 0 || value(t, &s, telemetry.MetricFSError, "/hung19") != 0 {
			t.Error("all answer again and some are still taken for hung")
		}
	})
}

// A mount table that changes must not make a second call to a hung mount.
func TestHungMountInAChangingTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHanging("/hung")
		c := mountsOf(t, h, "/", "/hung")
		path := c.options.ProcPath + "/1/mountinfo"
		table := readTreeFile(t, path)
		for i := range 10 {
			writeFile(t, path, fmt.Sprintf("%s200 1 9:%d / /other%d rw - ext4 /dev/y rw\n", table, i, i))
			s := collect(t, c, treeStart.Add(time.Duration(i)*time.Minute))
			if value(t, &s, telemetry.MetricFSUsedPercent, fmt.Sprintf("/other%d", i)) != 50 {
				t.Error("the new mount was not asked")
			}
		}
		writeFile(t, path, "") // no table at all, for a while
		collect(t, c, treeStart.Add(time.Hour))
		writeFile(t, path, table)
		collect(t, c, treeStart.Add(2*time.Hour))
		if n := h.called("/hung"); n != 1 {
			t.Errorf("the hung mount was asked %d times, want once", n)
		}
		h.release("/hung")
	})
}

func TestRemoteMountsAreAskedEveryFifthTime(t *testing.T) {
	h := newHanging()
	c := mountsOf(t, h, "/", "/nfs")
	for i := range 11 {
		s := collect(t, c, treeStart.Add(time.Duration(i)*15*time.Second))
		if value(t, &s, telemetry.MetricFSUsedPercent, "/nfs") != 50 {
			t.Errorf("sample %d lacks the remote filesystem", i)
		}
	}
	if local, remote := h.called("/"), h.called("/nfs"); local != 11 || remote != 3 {
		t.Errorf("11 samples asked the local filesystem %d times and the remote one %d times, want 11 and 3", local, remote)
	}
}

// With its context the wait is over as well.
func TestCollectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHanging("/hung")
		c := mountsOf(t, h, "/", "/hung")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := c.Collect(ctx, began); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		h.release("/hung")
		s := collect(t, c, began.Add(15*time.Second))
		checkNoRates(t, &s) // what was cut short is no baseline
	})
}

func TestChoosingMounts(t *testing.T) {
	type chosen struct {
		Point    string
		Role     int
		ReadOnly bool
	}
	for name, tc := range map[string]struct {
		table string
		want  []chosen
	}{
		"the last of two at one place": {
			"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /mnt rw - ext4 /dev/b rw\n3 1 8:3 / /mnt ro - ext4 /dev/c rw\n",
			[]chosen{{"/", 3, false}, {"/mnt", 0, true}},
		},
		"the shortest of one filesystem": {
			"1 0 8:1 /deploy / rw - xfs /dev/a rw\n2 1 8:1 / /sysroot rw - xfs /dev/a rw\n3 1 8:1 /var /var rw - xfs /dev/a rw\n",
			[]chosen{{"/", 3, false}},
		},
		"a node that is a container": {
			"1 0 0:50 / / rw - overlay none rw\n2 1 8:1 /d/etc/hosts /etc/hosts rw - ext4 /dev/a rw\n3 1 8:1 /d/_data /var rw - ext4 /dev/a rw\n",
			[]chosen{{"/var", 3, false}},
		},
		"disks for the kubelet and for images": {
			"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /var/lib/kubelet rw - ext4 /dev/b rw\n3 1 8:3 / /var/lib/containers rw - ext4 /dev/c rw\n",
			[]chosen{{"/", 0, false}, {"/var/lib/kubelet", 1, false}, {"/var/lib/containers", 2, false}},
		},
		"optional fields": {
			"1 0 8:1 / / rw shared:1 master:2 propagate_from:3 unbindable - ext4 /dev/a rw,ro=x\n",
			[]chosen{{"/", 3, false}},
		},
		"lines that make no sense": {
			"\n1 2 3\n - \n1 0 8:1 / / rw ext4 /dev/a rw\n1 0 8:1 /  rw - ext4 /dev/a rw\n1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /torn rw - ext4 /dev/b r",
			[]chosen{{"/", 3, false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Node: "n", ProcPath: t.TempDir()}
			if err := o.complete(); err != nil {
				t.Fatal(err)
			}
			var got []chosen
			for _, c := range newMountTable(&o).chooser.choose(parseMounts([]byte(tc.table), nil)) {
				got = append(got, chosen{c.Point, c.role, c.ReadOnly})
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/plain`: "/plain", `/a\040b`: "/a b", `/t\011n\012b\134h\043`: "/t\tn\nb\\h#", `/end\04`: `/end\04`, `/no\999`: `/no\999`, `/\400`: `/\400`, `\`: `\`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%s gives %q, want %q", in, got, want)
		}
	}
}
