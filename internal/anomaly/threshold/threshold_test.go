// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package threshold_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlhyper/atlhyper/internal/anomaly/threshold"
	"github.com/atlhyper/atlhyper/internal/telemetry"
)

// full is a valid threshold with everything there is.
func full() threshold.Threshold {
	return threshold.Threshold{
		Rule: "team-shop/node-filesystem-full",
		Metric: threshold.Metric{
			Scope: threshold.ScopeNode, Name: "fs_used_percent", Operator: threshold.GreaterThan, Threshold: "90",
			Labels: map[string]string{"mount": "/var"},
			NodeSelector: &threshold.Selector{
				MatchLabels:      map[string]string{"kubernetes.io/os": "linux"},
				MatchExpressions: []threshold.Requirement{{Key: "pool", Operator: "In", Values: []string{"a", "b"}}, {Key: "spot", Operator: "DoesNotExist"}},
			},
		},
		ForSeconds: 600, KeepFiringForSeconds: 300, Severity: telemetry.SeverityWarning,
	}
}

const fullDocument = `{"version":1,"thresholds":[{"rule":"team-shop/node-filesystem-full","metric":{"scope":"Node","name":"fs_used_percent",` +
	`"operator":"GreaterThan","threshold":"90","labels":{"mount":"/var"},"nodeSelector":{"matchLabels":{"kubernetes.io/os":"linux"},` +
	`"matchExpressions":[{"key":"pool","operator":"In","values":["a","b"]},{"key":"spot","operator":"DoesNotExist"}]}},` +
	`"forSeconds":600,"keepFiringForSeconds":300,"severity":"warning"}]}`

func marshal(t *testing.T, list ...threshold.Threshold) string {
	t.Helper()
	document, refused, err := threshold.Marshal(list)
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused %v, error %v", refused, err)
	}
	return string(document)
}

func TestTheDocumentIsAsDocumented(t *testing.T) {
	if diff := cmp.Diff(fullDocument, marshal(t, full())); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	list, refused, err := threshold.Parse(fullDocument)
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused %v, error %v", refused, err)
	}
	if diff := cmp.Diff([]threshold.Threshold{full()}, list); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got := marshal(t); got != `{"version":1,"thresholds":[]}` {
		t.Errorf("none are %s", got)
	}
	if list, refused, err := threshold.Parse(""); len(list)+len(refused) > 0 || err != nil {
		t.Errorf("an empty document has %v, %v, %v", list, refused, err)
	}
}

// What means the same is the same bytes.
func TestMarshalIsCanonical(t *testing.T) {
	other := full()
	other.Metric.Threshold = "090.000"
	s := other.Metric.NodeSelector
	slices.Reverse(s.MatchExpressions)
	s.MatchExpressions[1].Values = []string{"b", "a", "b"}
	s.MatchExpressions = append(s.MatchExpressions, s.MatchExpressions[0])
	if got := marshal(t, other); got != fullDocument {
		t.Errorf("written differently: %s", got)
	}
	plain := full()
	plain.Metric.NodeSelector, plain.Metric.Labels = nil, nil
	empty := full()
	empty.Metric.NodeSelector, empty.Metric.Labels = &threshold.Selector{MatchLabels: map[string]string{}}, map[string]string{}
	if diff := cmp.Diff(marshal(t, plain), marshal(t, empty)); diff != "" {
		t.Errorf("an empty selector (-none +empty):\n%s", diff)
	}
	a, b := full(), full()
	a.Rule, b.Rule = "a/a", "b/b"
	if marshal(t, a, b) != marshal(t, b, a) {
		t.Error("the order matters")
	}
	for in, want := range map[string]string{"0": "0", "-0.000": "0", "00.50": "0.5", "-01.10": "-1.1", "100": "100"} {
		x := full()
		x.Metric.Threshold = in
		if got := x.Canonical().Metric.Threshold; got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*threshold.Threshold){
		"is not the namespace and name":             func(x *threshold.Threshold) { x.Rule = "no slash" },
		"rule has 300 bytes":                        func(x *threshold.Threshold) { x.Rule = "a/" + strings.Repeat("b", 298) },
		"severity is not":                           func(x *threshold.Threshold) { x.Severity = 9 },
		"forSeconds is -1":                          func(x *threshold.Threshold) { x.ForSeconds = -1 },
		"keepFiringForSeconds is 86401":             func(x *threshold.Threshold) { x.KeepFiringForSeconds = 86401 },
		`operator "Equal" is none`:                  func(x *threshold.Threshold) { x.Metric.Operator = "Equal" },
		`threshold "NaN" is no decimal`:             func(x *threshold.Threshold) { x.Metric.Threshold = "NaN" },
		`threshold "1e3" is no decimal`:             func(x *threshold.Threshold) { x.Metric.Threshold = "1e3" },
		`threshold "" is no decimal`:                func(x *threshold.Threshold) { x.Metric.Threshold = "" },
		`metric "load" of scope "Node" does`:        func(x *threshold.Threshold) { x.Metric.Name = "load" },
		`metric "nodes" is one of scope Cluster`:    func(x *threshold.Threshold) { x.Metric.Name = "nodes" },
		`"oom_kills_total" is a total since boot`:   func(x *threshold.Threshold) { x.Metric.Name = "oom_kills_total" },
		`of scope "Pod" does not exist`:             func(x *threshold.Threshold) { x.Metric.Scope, x.Metric.Name = "Pod", "cpu" },
		`has the label mount, not "mountpoint"`:     func(x *threshold.Threshold) { x.Metric.Labels = map[string]string{"mountpoint": "/"} },
		"has no labels":                             func(x *threshold.Threshold) { x.Metric.Name = "load1" },
		"label mount is not text":                   func(x *threshold.Threshold) { x.Metric.Labels["mount"] = "\xff" },
		"nodeSelector is allowed only":              func(x *threshold.Threshold) { x.Metric.Scope, x.Metric.Name = "Cluster", "nodes" },
		`has the operator "Like"`:                   func(x *threshold.Threshold) { x.Metric.NodeSelector.MatchExpressions[0].Operator = "Like" },
		"0 values for In":                           func(x *threshold.Threshold) { x.Metric.NodeSelector.MatchExpressions[0].Values = nil },
		"values for DoesNotExist, which takes none": func(x *threshold.Threshold) { x.Metric.NodeSelector.MatchExpressions[1].Values = []string{"a"} },
		`"-" which is no value`:                     nil,
		`"a b", which is no key`:                    func(x *threshold.Threshold) { x.Metric.NodeSelector.MatchExpressions[0].Key = "a b" },
		"65 requirements": func(x *threshold.Threshold) {
			x.Metric.NodeSelector.MatchExpressions = make([]threshold.Requirement, 64)
		},
	} {
		if change == nil {
			want, change = `"-", which is no value`, func(x *threshold.Threshold) { x.Metric.NodeSelector.MatchLabels["a"] = "-" }
		}
		x, good := full(), full()
		good.Rule = "z/good"
		change(&x)
		document, refused, err := threshold.Marshal([]threshold.Threshold{x, good})
		if err != nil || len(refused) != 1 || !strings.Contains(refused[0].Error(), want) {
			t.Errorf("refused %v, %v; want %s", refused, err, want)
		}
		if string(document) != marshal(t, good) {
			t.Errorf("%s: the good one is not there: %s", want, document)
		}
	}
	x := full()
	x.Metric.Name = "load"
	if _, ok := errors.AsType[*threshold.UnknownMetricError](x.Validate()); !ok {
		t.Error("an unknown metric cannot be told from other mistakes")
	}
}

func TestABadOneTakesNoGoodOneDown(t *testing.T) {
	entry := strings.TrimSuffix(strings.TrimPrefix(fullDocument, `{"version":1,"thresholds":[`), "]}")
	named := func(name string) string { return strings.Replace(entry, "node-filesystem-full", name, 1) }
	bad := []string{
		`null`, `7`, `"text"`, `{}`,
		strings.Replace(named("newer"), `"severity"`, `"percentile":"99","severity"`, 1),
		strings.Replace(named("unknown"), "fs_used_percent", "fs_loved_percent", 1),
		strings.Replace(named("float"), `"forSeconds":600`, `"forSeconds":1.5`, 1),
		strings.Replace(named("number"), `"threshold":"90"`, `"threshold":90`, 1),
		strings.Replace(named("severe"), `"warning"`, `"panic"`, 1),
		named("a"),
	}
	document := `{"version":1,"later":true,"thresholds":[` + named("z") + "," + named("a") + "," + strings.Join(bad, ",") + "]}"
	list, refused, err := threshold.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Rule != "team-shop/a" || list[1].Rule != "team-shop/z" {
		t.Errorf("read %v", list)
	}
	if len(refused) != len(bad) {
		t.Errorf("%d were refused, want %d: %v", len(refused), len(bad), refused)
	}
	text := fmt.Sprint(refused)
	for _, want := range []string{"team-shop/newer", `unknown field "percentile"`, "team-shop/unknown", "team-shop/float", "team-shop/number", "team-shop/severe", "team-shop/a: it is there twice"} {
		if !strings.Contains(text, want) {
			t.Errorf("nobody says %s: %s", want, text)
		}
	}
}

func TestDocumentsThatCannotBeRead(t *testing.T) {
	for name, document := range map[string]string{
		"no JSON": "{", "another version": `{"version":2,"thresholds":[]}`, "no version": `{"thresholds":[]}`, "a list": "[]",
		"too large": `{"version":1,"thresholds":[]` + strings.Repeat(" ", threshold.MaxDocument) + "}", "null": "null",
	} {
		if list, _, err := threshold.Parse(document); err == nil || list != nil {
			t.Errorf("%s: read as %v", name, list)
		}
	}
}

func TestBounds(t *testing.T) {
	many := make([]threshold.Threshold, threshold.MaxThresholds+2)
	for i := range many {
		many[i] = full()
		many[i].Rule, many[i].Metric.NodeSelector = fmt.Sprintf("team/rule-%04d", i), nil
	}
	document, refused, err := threshold.Marshal(many)
	if err != nil || len(refused) != 2 || refused[0].Rule != "team/rule-1000" {
		t.Fatalf("refused %v, %v", refused, err)
	}
	t.Logf("%d thresholds are %d bytes", threshold.MaxThresholds, len(document))
	if list, refused, err := threshold.Parse(string(document)); len(list) != threshold.MaxThresholds || len(refused) > 0 || err != nil {
		t.Errorf("read %d, refused %v, %v", len(list), refused, err)
	}
	for i := range many {
		many[i].Metric.Labels = map[string]string{"mount": "/" + strings.Repeat("m", 1000)}
	}
	document, refused, err = threshold.Marshal(many)
	if err != nil || len(document) > threshold.MaxDocument || len(refused) < 300 || !strings.Contains(refused[2].Error(), "no room") {
		t.Errorf("%d bytes, %d refused, %v", len(document), len(refused), err)
	}
	if _, refused, err := threshold.Parse(string(document)); err != nil || len(refused) > 0 {
		t.Errorf("what was written cannot be read: %v, %v", refused, err)
	}
}

func TestExceeds(t *testing.T) {
	for _, tc := range []struct {
		operator         string
		below, at, above bool
	}{
		{threshold.GreaterThan, false, false, true},
		{threshold.GreaterThanOrEqual, false, true, true},
		{threshold.LessThan, true, false, false},
		{threshold.LessThanOrEqual, true, true, false},
		{"", false, false, false},
	} {
		m := threshold.Metric{Threshold: "90.1"}
		limit, err := m.Limit()
		if err != nil {
			t.Fatal(err)
		}
		measured, ok := telemetry.MetricNamed("cpu_usage_percent")
		if !ok {
			t.Fatal("no such metric")
		}
		at := measured.Round(90.0999999) // what a collector makes of it
		for value, want := range map[float64]bool{math.Nextafter(limit, 0): tc.below, at: tc.at, math.Nextafter(limit, 100): tc.above, math.NaN(): false} {
			if got := threshold.Exceeds(tc.operator, value, limit); got != want {
				t.Errorf("%v %s %v is %t", value, tc.operator, limit, got)
			}
		}
	}
}

func TestSelectors(t *testing.T) {
	labels := map[string]string{"pool": "a", "empty": ""}
	one := func(key, operator string, values ...string) *threshold.Selector {
		return &threshold.Selector{MatchExpressions: []threshold.Requirement{{Key: key, Operator: operator, Values: values}}}
	}
	for name, tc := range map[string]struct {
		selector *threshold.Selector
		want     bool
	}{
		"none":                    {nil, true},
		"an empty one":            {&threshold.Selector{}, true},
		"a label":                 {&threshold.Selector{MatchLabels: map[string]string{"pool": "a"}}, true},
		"another value":           {&threshold.Selector{MatchLabels: map[string]string{"pool": "b"}}, false},
		"a missing label, empty":  {&threshold.Selector{MatchLabels: map[string]string{"none": ""}}, false},
		"in":                      {one("pool", "In", "b", "a"), true},
		"in others":               {one("pool", "In", "b"), false},
		"not in others":           {one("pool", "NotIn", "b"), true},
		"not in":                  {one("pool", "NotIn", "a"), false},
		"not in without":          {one("none", "NotIn", "a"), true},
		"exists":                  {one("empty", "Exists"), true},
		"exists without":          {one("none", "Exists"), false},
		"does not exist":          {one("none", "DoesNotExist"), true},
		"does not exist but does": {one("empty", "DoesNotExist"), false},
	} {
		if got := tc.selector.Matches(labels); got != tc.want {
			t.Errorf("%s: matches is %t", name, got)
		}
	}
}

// Each metric has a name of its own in its scope and is found by it.
func TestMetrics(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range threshold.Metrics() {
		if seen[d.Scope+d.Name] || d.Unit == "" || (d.Scope == threshold.ScopeNode) == (d.ID == 0) || (d.Scope == threshold.ScopeNode) == (d.Meaning != "") {
			t.Errorf("%+v", d)
		}
		seen[d.Scope+d.Name] = true
		if found, ok := threshold.Lookup(d.Scope, d.Name); !ok || found != d {
			t.Errorf("%s is found as %+v", d.Name, found)
		}
	}
	if len(seen) < 90 {
		t.Errorf("there are %d metrics", len(seen))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(fullDocument)
	f.Add(`{"version":1,"thresholds":[null,{},{"rule":"a/b"}]}`)
	f.Add(strings.ReplaceAll(fullDocument, "90", "-000.10"))
	f.Fuzz(func(t *testing.T, document string) {
		list, refused, err := threshold.Parse(document)
		if err != nil && len(list)+len(refused) > 0 {
			t.Errorf("%v, and yet %v and %v", err, list, refused)
		}
		for i := range list {
			if err := list[i].Validate(); err != nil {
				t.Errorf("took %+v: %v", list[i], err)
			}
		}
		for _, r := range refused {
			if len(r.Error()) > 1<<10 || strings.Contains(r.Error(), "\n") {
				t.Errorf("an error of %d bytes", len(r.Error()))
			}
		}
		written, more, err := threshold.Marshal(list)
		if err != nil || len(more) > 0 {
			t.Fatalf("what was read cannot be written: %v, %v", more, err)
		}
		again, more, err := threshold.Parse(string(written))
		if err != nil || len(more) > 0 {
			t.Fatalf("what was written cannot be read: %v, %v", more, err)
		}
		if len(list) > 0 || len(again) > 0 {
			if diff := cmp.Diff(list, again); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
		}
		if twice := marshal(t, again...); twice != string(written) {
			t.Errorf("written as %s, then as %s", written, twice)
		}
	})
}
