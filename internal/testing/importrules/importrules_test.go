// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package importrules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "example.org/m"

// graphOf makes a graph of edges; the packages without a dot in their first
// element are the standard library.
func graphOf(edges map[string][]string) Graph {
	graph := Graph{}
	for from, to := range edges {
		graph[from] = Package{Imports: to}
		for _, path := range to {
			if _, ok := edges[path]; !ok {
				graph[path] = Package{}
			}
		}
	}
	for _, path := range []string{"log", "log/slog", "os/exec", "net/http", "database/sql"} {
		if p, ok := graph[path]; ok {
			p.Standard = true
			graph[path] = p
		}
	}
	return graph
}

func paths(violations []Violation) map[string][][]string {
	found := map[string][][]string{}
	for _, v := range violations {
		found[v.Rule.Name] = append(found[v.Rule.Name], v.Path)
	}
	return found
}

// Every rule is broken once, so that none of them can be empty.
func TestEveryRuleCanFail(t *testing.T) {
	m := func(path string) string { return module + "/" + path }
	cases := map[string]struct {
		edges map[string][]string
		want  [][]string
	}{
		"api": {
			edges: map[string][]string{
				m("api/v1alpha1"):                    {"k8s.io/apimachinery/pkg/apis/meta/v1", m("api/v1alpha1/applyconfiguration")},
				m("api/v1alpha1/applyconfiguration"): {"k8s.io/client-go/applyconfigurations"},
			},
			want: [][]string{{m("api/v1alpha1"), m("api/v1alpha1/applyconfiguration"), "k8s.io/client-go/applyconfigurations"}},
		},
		"wire": {
			edges: map[string][]string{m("internal/wire"): {m("internal/telemetry"), m("internal/slo")}},
			want:  [][]string{{m("internal/wire"), m("internal/slo")}},
		},
		"history": {
			edges: map[string][]string{m("internal/history"): {"database/sql"}, m("internal/history/sqlite"): {"database/sql", "gorm.io/gorm"}},
			want:  [][]string{{m("internal/history"), "database/sql"}},
		},
		"gorm": {
			edges: map[string][]string{
				m("internal/history/postgres"): {"gorm.io/gorm"},
				m("internal/notify"):           {"gorm.io/gorm"},
				m("cmd/hub"):                   {m("internal/history/postgres")},
			},
			want: [][]string{{m("internal/notify"), "gorm.io/gorm"}},
		},
		"nodecollector": {
			edges: map[string][]string{
				m("nodecollector"): {"net/http", m("internal/wire")},
				m("internal/wire"): {"k8s.io/api/core/v1"},
				"net/http":         {"os/exec"},
			},
			want: [][]string{{m("nodecollector"), m("internal/wire"), "k8s.io/api/core/v1"}},
		},
		"agent": {
			edges: map[string][]string{
				m("agent"):             {m("agent/spool")},
				m("agent/spool"):       {m("internal/bridge")},
				m("internal/bridge"):   {m("internal/history")},
				m("agent/hubconn"):     {"k8s.io/client-go/rest"},
				"k8s.io/client-go/foo": {m("internal/history")},
			},
			want: [][]string{{m("agent/spool"), m("internal/bridge"), m("internal/history")}},
		},
		"controllers": {
			edges: map[string][]string{m("controllers/servicesslo"): {m("agent/report")}, m("controllers/hub"): {m("internal/ingest")}},
			want:  [][]string{{m("controllers/servicesslo"), m("agent/report")}},
		},
		"ingest": {
			edges: map[string][]string{m("internal/ingest/fleet"): {"k8s.io/client-go/kubernetes", m("internal/alerting")}},
			want:  [][]string{{m("internal/ingest/fleet"), m("internal/alerting")}},
		},
		"ingest core": {
			edges: map[string][]string{m("internal/ingest"): {m("internal/bearer")}, m("internal/bearer"): {"k8s.io/client-go/rest"}, m("internal/ingest/fleet"): {"k8s.io/client-go/rest"}},
			want:  [][]string{{m("internal/ingest"), m("internal/bearer"), "k8s.io/client-go/rest"}},
		},
		"dashboard": {
			edges: map[string][]string{m("dashboard/server"): {"k8s.io/client-go/rest", m("agent")}},
			want:  [][]string{{m("dashboard/server"), m("agent")}},
		},
		"internal": {
			edges: map[string][]string{m("internal/notify"): {m("controllers/status")}},
			want:  [][]string{{m("internal/notify"), m("controllers/status")}},
		},
		"cmd": {
			edges: map[string][]string{m("hack/demo"): {m("cmd/hub")}},
			want:  [][]string{{m("hack/demo"), m("cmd/hub")}},
		},
		"hub": {
			edges: map[string][]string{
				m("cmd/hub"):   {m("controllers/hub")},
				m("hack/demo"): {m("controllers/hub")},
				m("cmd/agent"): {m("controllers/hub")},
			},
			want: [][]string{{m("cmd/agent"), m("controllers/hub")}},
		},
		"testing": {
			edges: map[string][]string{
				m("cmd/agent"):                 {m("agent")},
				m("hack/demo"):                 {m("internal/testing/process")},
				m("internal/testing/builders"): {"github.com/onsi/gomega"},
				m("agent"):                     {m("internal/testing/builders")},
			},
			want: [][]string{{m("agent"), m("internal/testing/builders")}},
		},
		"pure telemetry": {
			edges: map[string][]string{m("internal/telemetry"): {"math", m("internal/slo")}},
			want:  [][]string{{m("internal/telemetry"), m("internal/slo")}},
		},
		"pure slo": {
			edges: map[string][]string{m("internal/slo"): {m("internal/telemetry"), "log/slog"}},
			want:  [][]string{{m("internal/slo"), "log/slog"}},
		},
		"pure anomaly": {
			edges: map[string][]string{m("internal/anomaly"): {"example.com/x"}, "example.com/x": {"github.com/go-logr/logr"}},
			want:  [][]string{{m("internal/anomaly"), "example.com/x", "github.com/go-logr/logr"}},
		},
		"pure alerting": {
			edges: map[string][]string{m("internal/alerting"): {"k8s.io/apimachinery/pkg/labels"}},
			want:  [][]string{{m("internal/alerting"), "k8s.io/apimachinery/pkg/labels"}},
		},
		"controller alertrule": {
			edges: map[string][]string{
				m("controllers"):           {m("controllers/alertrule"), m("controllers/silence")},
				m("controllers/alertrule"): {m("controllers/status"), m("controllers/alertrule/groups"), m("controllers/silence")},
				m("controllers/status"):    {"k8s.io/apimachinery/pkg/api/meta"},
			},
			want: [][]string{{m("controllers/alertrule"), m("controllers/silence")}},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			graph := graphOf(tc.edges)
			got := paths(Check(module, graph, Rules(module, graph)))
			if diff := cmp.Diff(tc.want, got[name]); diff != "" {
				t.Errorf("violations of %q (-want +got):\n%s", name, diff)
			}
		})
	}
	for _, rule := range Rules(module, Graph{module + "/controllers/alertrule": {}}) {
		if _, ok := cases[rule.Name]; !ok {
			t.Errorf("rule %q is broken by no case: add one", rule.Name)
		}
	}
}

func TestCheckTakesTheShortestPath(t *testing.T) {
	graph := graphOf(map[string][]string{
		module + "/agent":       {"example.com/long", "example.com/short"},
		"example.com/long":      {"example.com/longer"},
		"example.com/longer":    {"gorm.io/gorm"},
		"example.com/short":     {"gorm.io/gorm"},
		"gorm.io/gorm":          {"gorm.io/gorm/schema"},
		"gorm.io/gorm/schema":   {"example.com/long"},
		"example.com/unrelated": nil,
	})
	got := paths(Check(module, graph, Rules(module, graph)))
	want := map[string][][]string{"agent": {{module + "/agent", "example.com/short", "gorm.io/gorm"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestMatch(t *testing.T) {
	cases := map[string]struct {
		pattern, path string
		want          bool
	}{
		"the package itself":          {"gorm.io/gorm", "gorm.io/gorm", true},
		"not what is below it":        {"gorm.io/gorm", "gorm.io/gorm/schema", false},
		"everything below":            {"k8s.io/...", "k8s.io/api/core/v1", true},
		"the root of everything":      {"./agent/...", module + "/agent", true},
		"a name that begins the same": {"./agent/...", module + "/agentless", false},
		"another host's suffix":       {"k8s.io/...", "sigs.k8s.io/yaml", false},
		"one element":                 {"./internal/history/*/...", module + "/internal/history/sqlite/rows", true},
		"one element is needed":       {"./internal/history/*/...", module + "/internal/history", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := matchAny(module, []string{tc.pattern}, tc.path); got != tc.want {
				t.Errorf("%s matches %s: %t, want %t", tc.pattern, tc.path, got, tc.want)
			}
		})
	}
}
