# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Everything is built from modules: go, make and git are enough. `make help` lists
# the targets; CONTRIBUTING.md says which one to use when.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

MODULE := github.com/atlhyper/atlhyper
# What this build calls itself; images are tagged with it too.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || echo v0.0.0-dev)
# make image ROLE=hub|agent|nodecollector
ROLE ?= hub
# Where images belong; what config/ refers to.
IMAGE_PREFIX ?= ghcr.io/atlhyper
# The packages that test, test-unit and lint look at.
PACKAGES ?= ./...
# -race where a C compiler can be had, else empty; make test RACE= turns it off.
RACE ?= $(shell hack/tools/race.sh)
# Packages that are built and tested at the same time. Each suite starts an API
# server of 300 MiB, so more cores do not mean more suites without end.
TEST_PARALLEL ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$(( n > 4 ? 4 : n )))
# More arguments of go test, such as -run or -v.
TEST_ARGS ?=
# make demo DEMO_ARGS=--once
DEMO_ARGS ?=
# make demo DSN=postgres://user:password@host/database; a file of the demo's when empty.
DSN ?=
# make bench BENCH_ARGS="fleet --clusters=100 --window=10m"
BENCH_ARGS ?= fleet
# For how long make fuzz runs each fuzz test.
FUZZTIME ?= 30s
# For how long make soak kills on each database.
DURATION ?= 10m

# The version is in VERSION; a checkout owned by somebody else must build as well.
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false)

BIN := $(CURDIR)/bin
TOOLS ?= $(BIN)/tools
GO_TEST = go test $(RACE) -timeout 20m -p $(TEST_PARALLEL) $(TEST_ARGS)
LINT := $(TOOLS)/golangci-lint

##@ Every day

help: ## Show the targets.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Build every program into bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X $(MODULE)/internal/observability.version=$(VERSION)" -o $(BIN)/ ./cmd/...

test: kubernetes ## Run every test, with real API servers.
	$(GO_TEST) $(PACKAGES)

demo: kubernetes build ## Run a hub and two member clusters on this machine until Ctrl-C.
	@go build -o $(BIN)/demo ./hack/demo
	@ATLHYPER_DSN='$(DSN)' exec $(BIN)/demo $(DEMO_ARGS)

fmt: $(LINT) ## Format the Go code.
	$(LINT) fmt

lint: $(LINT) $(TOOLS)/promlinter ## Lint the code, the API against the conventions of Kubernetes, the names of metrics.
	$(LINT) run $(PACKAGES)
	$(LINT) run --config .golangci-kal.yml ./api/...
	$(TOOLS)/promlinter lint --strict .

lint-fix: $(LINT) ## Lint and apply the fixes that linters offer.
	$(LINT) run --fix $(PACKAGES)
	$(LINT) run --fix --config .golangci-kal.yml ./api/...

generate: $(TOOLS)/controller-gen ## Generate deep copies and apply configurations from the API types.
	$(TOOLS)/controller-gen object:headerFile=hack/boilerplate.go.txt \
	  applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/...

manifests: $(TOOLS)/controller-gen ## Generate the CRDs and the hub's role from markers.
	$(TOOLS)/controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(TOOLS)/controller-gen rbac:roleName=atlhyper-hub paths=./controllers/... output:rbac:artifacts:config=config/rbac

##@ More tests

test-unit: ## Run the tests of the packages that start no API server.
	@packages=$$(hack/tools/packages.sh unit $(PACKAGES)); $(GO_TEST) $$packages

test-integration: kubernetes ## Run the tests of the packages that start an API server.
	@packages=$$(hack/tools/packages.sh integration $(PACKAGES)); $(GO_TEST) $$packages

bench: kubernetes ## Join simulated agents to a hub and report what they cost.
	go run ./hack/bench $(BENCH_ARGS)

soak: ## Kill agents and hubs for DURATION on each database and count what is stored.
	@mkdir -p $(BIN)/soak
	go test ./test/delivery -run 'TestWalk' -v -count=1 -timeout 0 -artifacts -outputdir $(BIN)/soak -duration=$(DURATION) $(TEST_ARGS)

fuzz: ## Run each fuzz test for FUZZTIME.
	hack/tools/fuzz.sh $(FUZZTIME) $(PACKAGES)

verify: $(TOOLS)/controller-gen $(TOOLS)/kustomize ## Check what no test sees: generated files, modules, headers, manifests, links.
	TOOLS=$(TOOLS) hack/verify/verify.sh

vuln: $(TOOLS)/govulncheck ## Look for known vulnerabilities that the code can reach.
	TOOLS=$(TOOLS) VULN_OFFLINE=$(VULN_OFFLINE) hack/tools/vuln.sh $(PACKAGES)

ci: ## Run what .ci/run runs, in this checkout instead of a clean clone.
	.ci/run --here

##@ Delivery

image: build ## Build the image of ROLE with docker or buildah.
	hack/tools/image.sh $(ROLE) $(IMAGE_PREFIX)/$(ROLE):$(VERSION)

kubernetes: ## Build etcd, kube-apiserver, kubectl and KWOK into bin/k8s where they are not given.
	@hack/k8s/ensure.sh >/dev/null

clean: ## Remove what make built.
	rm -rf $(BIN) dist

.PHONY: help build test demo fmt lint lint-fix generate manifests test-unit test-integration bench soak fuzz verify vuln ci image kubernetes clean

# Each tool is built when a target first needs it, and again when its module
# file changes. go.sum pins what is in it.
$(TOOLS)/controller-gen: package := sigs.k8s.io/controller-tools/cmd/controller-gen
$(TOOLS)/golangci-lint: package := sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
$(TOOLS)/govulncheck: package := golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/kustomize: package := sigs.k8s.io/kustomize/kustomize/v5
$(TOOLS)/promlinter: package := github.com/yeya24/promlinter/cmd/promlinter

$(TOOLS)/controller-gen $(TOOLS)/golangci-lint $(TOOLS)/govulncheck $(TOOLS)/kustomize $(TOOLS)/promlinter: hack/tools/go.mod hack/tools/go.sum
	@echo "Building $(@F) into bin/tools..."
	@mkdir -p $(@D)
	@CGO_ENABLED=0 go build -C hack/tools -trimpath -o $@ $(package)
	@touch $@
