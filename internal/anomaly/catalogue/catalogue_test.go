// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package catalogue_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/catalogue"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// reference is the list that the catalogue has to cover; see its source.
type reference struct {
	Source string `json:"source"`
	Rules  []struct {
		ID            catalogue.ID                  `json:"id"`
		Kind          string                        `json:"kind"`
		Category      string                        `json:"category"`
		Severity      telemetry.Severity            `json:"severity"`
		For           string                        `json:"for"`
		KeepFiringFor string                        `json:"keep_firing_for"`
		Renotify      string                        `json:"renotify"`
		Title         map[catalogue.Language]string `json:"title"`
		Escalate      []telemetry.Severity          `json:"escalate"`
	} `json:"rules"`
}

func readReference(t *testing.T) reference {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func days(t *testing.T, s string) time.Duration {
	t.Helper()
	unit := 1
	if number, ok := strings.CutSuffix(s, "d"); ok {
		s, unit = number+"h", 24
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d * time.Duration(unit)
}

func TestEveryRuleOfTheReferenceIsThereAsItSays(t *testing.T) {
	want := readReference(t)
	rules := catalogue.Rules()
	if len(want.Rules) != 113 || len(rules) != len(want.Rules) {
		t.Fatalf("%d rules, the reference has %d, and 113 were expected", len(rules), len(want.Rules))
	}
	for i, w := range want.Rules {
		rule := rules[i]
		if rule.ID != w.ID {
			t.Errorf("rule %d is %s, the reference has %s", i, rule.ID, w.ID)
			continue
		}
		kinds := strings.Split(strings.TrimSuffix(w.Kind, " (cert-manager.io)"), ",")
		var escalations []telemetry.Severity
		for _, e := range rule.Escalations {
			escalations = append(escalations, e.Severity)
		}
		if len(escalations) == 0 {
			escalations = []telemetry.Severity{}
		}
		got := []any{rule.Kinds, rule.Category, rule.Severity, rule.For, rule.KeepFiringFor, rule.Renotify, rule.Titles, escalations}
		expected := []any{kinds, w.Category, w.Severity, days(t, w.For), days(t, w.KeepFiringFor), days(t, w.Renotify), w.Title, w.Escalate}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s differs from the reference (-want +got):\n%s", rule.ID, diff)
		}
	}
}

func TestRulesAreComplete(t *testing.T) {
	sources := []catalogue.Source{
		catalogue.SourceStatus, catalogue.SourceEvents, catalogue.SourceSamples,
		catalogue.SourceKubelet, catalogue.SourceAgent, catalogue.SourceHub,
	}
	for _, rule := range catalogue.Rules() {
		for _, language := range []catalogue.Language{catalogue.English, catalogue.Chinese, catalogue.Japanese} {
			if rule.Titles[language] == "" {
				t.Errorf("%s has no title in %s", rule.ID, language)
			}
		}
		for what, text := range map[string]string{
			"condition": rule.Condition, "meaning": rule.Meaning, "action": rule.Action, "identity": rule.Identity,
		} {
			if text == "" {
				t.Errorf("%s has no %s", rule.ID, what)
			}
		}
		if !slices.Contains(sources, rule.Source) {
			t.Errorf("%s has the source %q", rule.ID, rule.Source)
		}
		if (rule.Source == catalogue.SourceHub) != (rule.Unevaluated != "") {
			t.Errorf("%s: the source is %q and the reason for not evaluating it %q", rule.ID, rule.Source, rule.Unevaluated)
		}
		for _, id := range rule.InhibitedBy {
			if _, ok := catalogue.Lookup(id); !ok {
				t.Errorf("%s is inhibited by %s, which does not exist", rule.ID, id)
			}
		}
		for _, e := range rule.Escalations {
			if e.Severity <= rule.Severity {
				t.Errorf("%s escalates from %s to %s", rule.ID, rule.Severity, e.Severity)
			}
		}
		if rule.Bridge > rule.KeepFiringFor {
			t.Errorf("%s bridges %s and keeps firing for %s only", rule.ID, rule.Bridge, rule.KeepFiringFor)
		}
	}
}

func TestTitleFallsBackToEnglish(t *testing.T) {
	rule, ok := catalogue.Lookup("PodOOMKilled")
	if !ok {
		t.Fatal("PodOOMKilled is not in the catalogue")
	}
	for language, want := range map[catalogue.Language]string{
		catalogue.Japanese: "コンテナが OOM で強制終了 (OOMKilled)",
		"fr":               "Container was OOM killed",
	} {
		if got := rule.Title(language); got != want {
			t.Errorf("title in %s: %q, want %q", language, got, want)
		}
	}
}

func TestBrokenCataloguesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"no JSON":              {`{`, "unexpected end of JSON input"},
		"an unknown severity":  {`{"rules":[{"id":"A","severity":"fatal"}]}`, "fatal"},
		"a duration of days":   {`{"rules":[{"id":"A","severity":"info","for":"7d"}]}`, "7d"},
		"the same rule twice":  {`{"rules":[{"id":"A"},{"id":"A"}]}`, "A is there twice"},
		"a list and no object": {`[]`, "cannot unmarshal array"},
	} {
		t.Run(name, func(t *testing.T) {
			err := catalogue.ParseForTest([]byte(tc.content))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that contains %q", err, tc.want)
			}
		})
	}
}

func TestReferencePageIsCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(catalogue.ReferencePath)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(catalogue.Reference()), string(page)); diff != "" {
		t.Errorf("%s is stale: run go run ./hack/docs (-generated +there):\n%s", catalogue.ReferencePath, diff)
	}
}
