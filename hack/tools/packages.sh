#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# packages.sh unit|integration PATTERN...
# Prints the packages whose tests start no API server, or those whose tests do:
# those that import internal/testing/controlplane.
set -euo pipefail

kind=$1
shift
controlplane=$(go list -m)/internal/testing/controlplane
go list -f '{{.ImportPath}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}' "$@" |
  awk -v kind="$kind" -v wanted="$controlplane" '
    { integration = 0
      for (i = 1; i <= NF; i++) if ($i == wanted) integration = 1
      if (integration == (kind == "integration")) print $1 }'
