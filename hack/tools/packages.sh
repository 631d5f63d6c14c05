#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# packages.sh unit|integration PATTERN...
# Prints the packages with tests that start no API server, or those with tests
# that do: whose test binary contains internal/testing/controlplane.
set -euo pipefail

kind=$1
shift
controlplane=$(go list -m)/internal/testing/controlplane
go list -test -f '{{.ImportPath}}{{range .Deps}} {{.}}{{end}}' "$@" |
  awk -v kind="$kind" -v wanted="$controlplane" '
    $1 !~ /\.test$/ { next }
    { integration = 0
      # In a test binary, "p [q.test]" is p as the tests of q see it.
      for (i = 2; i <= NF; i++) if ($i == wanted) integration = 1
      if (integration == (kind == "integration")) print substr($1, 1, length($1) - 5) }'
