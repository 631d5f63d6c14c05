// Copyright The AtlHyper Authors.
// SPDX-License-Identifier: MIT

package importrules

import (
	"maps"
	"slices"
	"strings"
)

var (
	kubernetes = []string{"k8s.io/...", "sigs.k8s.io/..."}
	gorm       = []string{"gorm.io/...", "github.com/glebarez/..."}
	loggers    = []string{
		"log", "log/slog", "github.com/go-logr/...", "go.uber.org/zap/...", "k8s.io/klog/...",
		"github.com/sirupsen/logrus/...", "github.com/rs/zerolog/...",
	}
)

// Rules returns the rules of the packages in graph.
func Rules(module string, graph Graph) []Rule {
	return slices.Concat(layerRules(), pureRules(), controllerRules(module, graph))
}

func layerRules() []Rule {
	return []Rule{
		{
			Name: "api",
			Why:  "whoever imports the types gets apimachinery and nothing else",
			From: []string{"./api/..."}, Except: []string{"./api/v1alpha1/applyconfiguration/..."},
			Deny:  []string{"sigs.k8s.io/controller-runtime/...", "k8s.io/client-go/...", "./..."},
			Allow: []string{"./api/..."},
		},
		{
			Name: "wire",
			Why:  "messages are understood without Kubernetes and without the domain's rules",
			From: []string{"./internal/wire/..."},
			Deny: slices.Concat(kubernetes, []string{"./..."}), Allow: []string{"./internal/wire/...", "./internal/telemetry/..."},
		},
		{
			Name: "history",
			Why:  "the ports say nothing about databases or Kubernetes",
			From: []string{"./internal/history"},
			Deny: slices.Concat(gorm, kubernetes, []string{"database/sql"}),
		},
		{
			Name: "gorm",
			Why:  "gorm stays inside the implementations of internal/history",
			From: []string{"./..."}, Except: []string{"./internal/history/*/..."},
			Deny: gorm, Direct: true,
		},
		{
			Name: "nodecollector",
			Why:  "it runs on every node: small, without Kubernetes, starting no process",
			From: []string{"./nodecollector/..."},
			Deny: slices.Concat(kubernetes, gorm, []string{"os/exec"}),
		},
		{
			Name: "agent",
			Why:  "it runs in the member cluster; what it shares with the hub is api and internal/wire",
			From: []string{"./agent/..."},
			Deny: append([]string{"./internal/history/...", "./internal/ingest/...", "./controllers/...", "./dashboard/..."}, gorm...),
		},
		{
			Name: "controllers",
			Why:  "controllers decide from ports; they neither ingest, nor serve, nor know the database",
			From: []string{"./controllers/..."}, Except: []string{"./controllers/hub/..."},
			Deny: append([]string{"./internal/ingest/...", "./agent/...", "./dashboard/..."}, gorm...),
		},
		{
			Name: "ingest",
			Why:  "ingest stores through a port and never evaluates",
			From: []string{"./internal/ingest/..."},
			Deny: append([]string{"./internal/slo/...", "./internal/alerting/..."}, gorm...),
		},
		{
			Name: "ingest core",
			Why:  "who is calling is asked through a port: the endpoint and its fuzzing build without Kubernetes",
			From: []string{"./internal/ingest"},
			Deny: []string{"k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/..."},
		},
		{
			Name: "dashboard",
			Why:  "it reads resources and history's ports",
			From: []string{"./dashboard/..."},
			Deny: append([]string{"./controllers/...", "./agent/..."}, gorm...),
		},
		{
			Name: "internal",
			Why:  "internal packages stand below the programs that use them",
			From: []string{"./internal/..."},
			Deny: []string{"./controllers/...", "./agent/...", "./nodecollector/...", "./dashboard/...", "./cmd/..."},
		},
		{
			Name: "cmd",
			Why:  "cmd is where programs are put together; nobody imports it",
			From: []string{"./..."},
			Deny: []string{"./cmd/..."}, Direct: true,
		},
		{
			Name: "hub",
			Why:  "only cmd/hub, tests and hack run the hub",
			From: []string{"./..."}, Except: []string{"./controllers/hub/...", "./cmd/hub/...", "./hack/...", "./test/..."},
			Deny: []string{"./controllers/hub/..."}, Direct: true,
		},
		{
			Name: "testing",
			Why:  "what only tests need is in no program",
			From: []string{"./..."}, Except: []string{"./internal/testing/...", "./hack/...", "./test/..."},
			Deny: []string{"./internal/testing/...", "github.com/onsi/..."},
		},
	}
}

func pureRules() []Rule {
	names := []string{"telemetry", "slo", "anomaly", "alerting"}
	rules := make([]Rule, 0, len(names))
	for _, name := range names {
		rules = append(rules, Rule{
			Name:  "pure " + name,
			Why:   "decisions are functions of values: no Kubernetes, no database, no log, of ours telemetry alone",
			From:  []string{"./internal/" + name + "/..."},
			Deny:  slices.Concat(kubernetes, gorm, loggers, []string{"./..."}),
			Allow: []string{"./internal/" + name + "/...", "./internal/telemetry/..."},
		})
	}
	return rules
}

func controllerRules(module string, graph Graph) []Rule {
	names := kinds(module, graph)
	rules := make([]Rule, 0, len(names))
	for _, kind := range names {
		rules = append(rules, Rule{
			Name:  "controller " + kind,
			Why:   "controllers meet in the objects they read and write; only controllers.go lists them",
			From:  []string{"./controllers/" + kind + "/..."},
			Deny:  []string{"./controllers/..."},
			Allow: []string{"./controllers/" + kind + "/...", "./controllers/status/..."},
		})
	}
	return rules
}

// kinds are the folders of controllers/ besides the one that assembles the hub.
func kinds(module string, graph Graph) []string {
	found := map[string]bool{}
	for path := range graph {
		if rest, ok := strings.CutPrefix(path, module+"/controllers/"); ok {
			kind, _, _ := strings.Cut(rest, "/")
			found[kind] = true
		}
	}
	delete(found, "hub")
	return slices.Sorted(maps.Keys(found))
}
