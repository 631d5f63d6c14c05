// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// analyzed runs analyze and returns what it wrote.
func analyzed(t *testing.T, in string, args ...string) (out, errOut string, code int) {
	t.Helper()
	streams, stdin, stdout, stderr := genericiooptions.NewTestIOStreams()
	stdin.WriteString(in)
	code = Run(t.Context(), streams, append([]string{"analyze"}, args...))
	return stdout.String(), stderr.String(), code
}

const bundle = "testdata/analyze-bundle.yaml"

func TestAnalyzeABundle(t *testing.T) {
	for name, args := range map[string][]string{
		"analyze.txt":  nil,
		"analyze.json": {"-o", "json"},
		"analyze.yaml": {"-o", "yaml"},
	} {
		out, errOut, code := analyzed(t, "", append([]string{"-f", bundle, "--now", "2026-11-23T12:00:00Z"}, args...)...)
		golden(t, name, []byte(out))
		if code != ExitOK || errOut != "Ignored 1 objects of v1 ConfigMap: no rule looks at them.\n" {
			t.Errorf("%s: code %d, said %q", name, code, errOut)
		}
		if strings.Contains(out, "hunter2") || strings.Contains(out, "\x1b") {
			t.Errorf("%s shows a password or an escape sequence", name)
		}
	}
}

func TestAnalyzeReadsSeveralFilesAndTheInput(t *testing.T) {
	content, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(t.TempDir(), "node.json")
	if err := os.WriteFile(node, []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-2"},"status":{"conditions":[
		{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","lastTransitionTime":"2026-11-23T11:58:00Z"}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code := analyzed(t, string(content), "-f", "-", "-f", node, "--now", "2026-11-23T12:00:00Z", "--exit-code")
	if code != ExitFailure || !strings.Contains(out, "NodeDiskPressure") || !strings.Contains(out, "NodeUnreachable  Node node-2") {
		t.Errorf("code %d:\n%s", code, out)
	}
}

// An old bundle is judged by when it was made, and says so.
func TestAnalyzeTellsWhenItJudges(t *testing.T) {
	old := `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"},"status":{"conditions":[
		{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown","lastTransitionTime":"2020-01-01T11:58:00Z"},
		{"type":"DiskPressure","status":"Unknown","lastHeartbeatTime":"2020-01-01T12:00:00Z"}]}}`
	out, errOut, code := analyzed(t, old, "-f", "-")
	if code != ExitOK || !strings.Contains(out, "WARNING  NodeUnreachable  Node node-1") || !strings.Contains(out, "(2m)") {
		t.Errorf("code %d:\n%s", code, out)
	}
	if !strings.Contains(errOut, "Judged as of 2020-01-01T12:00:00Z") {
		t.Errorf("said %q", errOut)
	}
	// With a clock that says otherwise it has lasted for years.
	out, errOut, _ = analyzed(t, old, "-f", "-", "--now", "2026-01-01T00:00:00Z")
	if !strings.Contains(out, "CRITICAL  NodeUnreachable") || errOut != "" {
		t.Errorf("said %q and found\n%s", errOut, out)
	}
}

func TestAnalyzeFindsNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		in, args     string
		out, errPart string
		code         int
	}{
		"a healthy pod":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {phase: Running}\n", "-f - --exit-code", "No anomalies.\n", "", ExitOK},
		"an empty list":    {"", "-f - -o json", "[]\n", "There is no object", ExitOK},
		"no file":          {"", "", "", "error: name a file with -f", ExitFailure},
		"another output":   {"", "-f - -o table", "", `error: --output is "table"; it can be yaml or json`, ExitFailure},
		"a strange time":   {"", "-f - --now yesterday", "", `error: --now is "yesterday"`, ExitFailure},
		"a missing file":   {"", "-f testdata/nothing.yaml", "", "error: opening the file: open testdata/nothing.yaml", ExitFailure},
		"a broken file":    {"kind: [", "-f -", "", "error: standard input: document 1: reading the YAML", ExitFailure},
		"a named argument": {"", "dump.yaml", "", "unknown command", ExitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, code := analyzed(t, tc.in, strings.Fields(tc.args)...)
			if out != tc.out || !strings.Contains(errOut, tc.errPart) || code != tc.code {
				t.Errorf("wrote %q, said %q, ended with %d", out, errOut, code)
			}
		})
	}
}
