// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package analyze_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/cli/analyze"
)

// dumped is when the fixtures were made.
var dumped = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// fixtures are files of objects, in a folder per rule. A line "# want: SEVERITY
// RULE KIND [NAMESPACE/]NAME [xCOUNT]" at the top says what has to be found, and
// nothing else may be.
func fixtures(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "rules", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	byRule := map[string][]string{}
	for _, file := range files {
		rule := filepath.Base(filepath.Dir(file))
		byRule[rule] = append(byRule[rule], file)
	}
	return byRule
}

func read(t *testing.T, file string) (*analyze.Dump, []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(content)) {
		if w, ok := strings.CutPrefix(strings.TrimSpace(line), "# want: "); ok {
			want = append(want, w)
		}
	}
	d := &analyze.Dump{}
	if errs := d.Read(file, content); len(errs) > 0 {
		t.Fatal(errs)
	}
	return d, want
}

func shown(findings []analyze.Finding) []string {
	var lines []string
	for _, f := range findings {
		name := f.Name
		if f.Namespace != "" {
			name = f.Namespace + "/" + name
		}
		line := fmt.Sprintf("%s %s %s %s", f.Severity, f.Rule, f.Kind, name)
		if f.Count > 1 {
			line += fmt.Sprintf(" x%d", f.Count)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestFixtures(t *testing.T) {
	for rule, files := range fixtures(t) {
		for _, file := range files {
			t.Run(rule+"/"+filepath.Base(file), func(t *testing.T) {
				d, want := read(t, file)
				findings := analyze.Judge(d, analyze.Options{Now: dumped})
				got := shown(findings)
				slices.Sort(want)
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("anomalies (-want +got):\n%s", diff)
				}
				for _, f := range findings {
					if f.Reason == "" || f.Message == "" || f.Title == "" || len(f.Evidence) == 0 || f.Since == nil {
						t.Errorf("%s is not explained: %+v", f.Rule, f)
					}
				}
				// The order of the objects does not matter, neither in the file nor
				// to the rules.
				slices.Reverse(d.Objects)
				if diff := cmp.Diff(findings, analyze.Judge(d, analyze.Options{Now: dumped})); diff != "" {
					t.Errorf("backwards (-forwards +backwards):\n%s", diff)
				}
				if diff := cmp.Diff(findings, analyze.JudgeBackwards(d, analyze.Options{Now: dumped})); diff != "" {
					t.Errorf("judged backwards (-forwards +backwards):\n%s", diff)
				}
			})
		}
	}
}

// Every rule that objects can show has a fixture that triggers it and one that
// must not, and the first says its severity.
func TestEveryRuleHasFixtures(t *testing.T) {
	// These compare with what was seen before, which a dump does not have.
	compared := []catalogue.ID{"NodeReadinessFlapping"}
	byRule := fixtures(t)
	for _, rule := range catalogue.Rules() {
		files := byRule[string(rule.ID)]
		if !rule.InDump() || slices.Contains(compared, rule.ID) {
			if len(files) > 0 {
				t.Errorf("%s has fixtures, and dumps do not show it", rule.ID)
			}
			continue
		}
		triggered, silent := false, false
		for _, file := range files {
			_, want := read(t, file)
			found := slices.ContainsFunc(want, func(w string) bool { return strings.Contains(w, " "+string(rule.ID)+" ") })
			triggered = triggered || found
			silent = silent || !found
			if filepath.Base(file) == "bad.yaml" && !slices.ContainsFunc(want, func(w string) bool {
				return strings.HasPrefix(w, rule.Severity.String()+" "+string(rule.ID)+" ")
			}) {
				t.Errorf("%s: the severity of %s is %s", file, rule.ID, rule.Severity)
			}
		}
		if !triggered || !silent {
			t.Errorf("%s: a fixture triggers it: %t, one does not: %t", rule.ID, triggered, silent)
		}
	}
}
