// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package cli

import (
	"encoding/json"
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

// Of a folder the files are read that hold objects, in the order of their names.
func TestAnalyzeReadsAFolder(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"b.json": `{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"},"status":{"conditions":[{"type":"DiskPressure","status":"True"}]}}`,
		"a.yml":  "apiVersion: v1\nkind: Pod\nmetadata: {name: broken}\nspec: 5\n",
		"c.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: cut\n",
		"notes":  "kind: [", "log.txt": "kind: [",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, "more.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, errOut, code := analyzed(t, "", "-f", folder, "-o", "json", "--now", "2026-11-23T12:00:00Z")
	var found []struct{ Rule, Name string }
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 || found[0].Name != "b" {
		t.Errorf("wrote %q: %v", out, err)
	}
	said := strings.Split(strings.TrimSpace(errOut), "\n")
	if code != ExitFailure || len(said) != 2 || !strings.HasPrefix(said[0], "error: "+filepath.Join(folder, "a.yml")+": document 1: Pod broken: ") ||
		!strings.HasPrefix(said[1], "error: "+filepath.Join(folder, "c.yaml")+": document 1: reading the YAML: ") {
		t.Errorf("ended with %d and said %q", code, said)
	}
	empty := filepath.Join(folder, "more.yaml")
	if out, errOut, code := analyzed(t, "", "-f", empty); out != "" || code != ExitFailure || !strings.Contains(errOut, "error: the folder "+empty+" has no files that end in .json, .yaml, .yml") {
		t.Errorf("of an empty folder: wrote %q, said %q, ended with %d", out, errOut, code)
	}
}

// What cannot be read is named, the rest is judged, and the end tells.
func TestAnalyzeJudgesTheRest(t *testing.T) {
	const broken = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nstatus: {containerStatuses: [{name: c, restartCount: '5'}]}\n---\n"
	const node = "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nstatus: {conditions: [{type: DiskPressure, status: 'True'}]}\n"
	out, errOut, code := analyzed(t, broken+node, "-f", "-", "--now", "2026-11-23T12:00:00Z")
	if code != ExitFailure || !strings.Contains(out, "NodeDiskPressure  Node node-1") || strings.Contains(out, "error") ||
		!strings.HasPrefix(errOut, "error: standard input: document 1: Pod x: reading a Pod: json: ") {
		t.Errorf("code %d, said %q:\n%s", code, errOut, out)
	}
	// That nothing is wrong can only be said of what was read.
	if out, _, code := analyzed(t, broken, "-f", "-"); out != "" || code != ExitFailure {
		t.Errorf("code %d, wrote %q", code, out)
	}
	if out, _, code := analyzed(t, broken, "-f", "-", "-o", "json"); out != "[]\n" || code != ExitFailure {
		t.Errorf("code %d, wrote %q", code, out)
	}
	_, errOut, _ = analyzed(t, strings.Repeat(broken, 150), "-f", "-")
	if lines := strings.Split(strings.TrimSpace(errOut), "\n"); len(lines) != 101 || lines[100] != "error: and 50 more" {
		t.Errorf("said %d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// What somebody plans for the future does not move the present.
func TestAnalyzeIgnoresTheFuture(t *testing.T) {
	in := `{"apiVersion":"example.com/v1","kind":"Maintenance","metadata":{"name":"m"},"status":{"startTime":"2020-01-01T11:00:00Z"}}
		{"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"involvedObject":{"kind":"Node","name":"n"},"lastTimestamp":"2999-01-01T00:00:00Z"}`
	_, errOut, code := analyzed(t, in, "-f", "-")
	if code != ExitOK || strings.Contains(errOut, "Judged as of") {
		t.Errorf("code %d, said %q", code, errOut)
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
