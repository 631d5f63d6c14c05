// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package crash_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/atlhyper/atlhyper/internal/crash"
)

// build builds testdata/probe and returns the program.
func build(t *testing.T, arguments ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", path}, arguments...), "./testdata/probe")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, out)
	}
	return path
}

// run runs the program and returns what it printed, and the signal that ended it.
func run(t *testing.T, path string, env ...string) (string, syscall.Signal) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err == nil {
		return string(out), 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	status, _ := exit.Sys().(syscall.WaitStatus)
	return string(out), status.Signal()
}

// Without the tag neither the names of sites nor the package are in the program.
func TestNothingIsLeftInOrdinaryPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		arguments []string
		want      bool
	}{
		"without the tag": {nil, false},
		"with the tag":    {[]string{"-tags", "crashsites"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			program, err := os.ReadFile(build(t, c.arguments...))
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"probe.loop-site", "probe.other-site", "ATLHYPER_CRASH"} {
				if got := bytes.Contains(program, []byte(text)); got != c.want {
					t.Errorf("%q is in the program: %v, want %v", text, got, c.want)
				}
			}
		})
	}
}

func TestEndsAtTheSite(t *testing.T) {
	probe := build(t, "-tags", "crashsites")
	for name, c := range map[string]struct {
		site   string
		out    string
		signal syscall.Signal
		log    string
	}{
		"nowhere":             {"", "1\n2\n3\n4\n5\n", 0, "passed probe.other-site\npassed probe.loop-site\n"},
		"at the first":        {"probe.other-site:1", "", syscall.SIGKILL, "passed probe.other-site\nended probe.other-site\n"},
		"at the third":        {"probe.loop-site:3", "1\n2\n", syscall.SIGKILL, "passed probe.other-site\npassed probe.loop-site\nended probe.loop-site\n"},
		"never so often":      {"probe.loop-site:6", "1\n2\n3\n4\n5\n", 0, "passed probe.other-site\npassed probe.loop-site\n"},
		"at an unknown site":  {"probe.loop:1", "1\n2\n3\n4\n5\n", 0, "passed probe.other-site\npassed probe.loop-site\n"},
		"at the last passage": {"probe.loop-site:5", "1\n2\n3\n4\n", syscall.SIGKILL, "passed probe.other-site\npassed probe.loop-site\nended probe.loop-site\n"},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			out, signal := run(t, probe, "ATLHYPER_CRASH="+c.site, "ATLHYPER_CRASH_LOG="+log)
			noted, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if out != c.out || signal != c.signal || string(noted) != c.log {
				t.Errorf("printed %q, ended by %v, noted %q", out, signal, noted)
			}
		})
	}
}

func TestNonsenseIsNotIgnored(t *testing.T) {
	probe := build(t, "-tags", "crashsites")
	for _, site := range []string{"probe.loop-site", "probe.loop-site:", "probe.loop-site:0", "probe.loop-site:x"} {
		cmd := exec.CommandContext(t.Context(), probe)
		cmd.Env = append(os.Environ(), "ATLHYPER_CRASH="+site)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "reading ATLHYPER_CRASH") {
			t.Errorf("%q: ended with %v and said %s", site, err, out)
		}
	}
}

// BenchmarkAt shows what a site costs in ordinary programs: nothing that can be
// measured against the loop around it.
func BenchmarkAt(b *testing.B) {
	for b.Loop() {
		crash.At("benchmark.site")
	}
}
