#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Builds node_exporter into bin/peers, from the module that go.mod pins, unless it
# is there, and prints its path.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$here/../.." && pwd)/bin/peers
mkdir -p "$out"

# Two test runs may start at the same time; one of them builds.
exec 9>"$out/.lock"
flock 9

want=$(cat "$here/go.mod" "$here/go.sum" "${BASH_SOURCE[0]}" <(go env GOVERSION) | sha256sum | cut -d' ' -f1)
if [[ ! -x "$out/node_exporter" || ! -f "$out/.node_exporter" || "$(<"$out/.node_exporter")" != "$want" ]]; then
  printf 'Building node_exporter into bin/peers...\n' >&2
  fresh=$(mktemp -d "$out/.build-XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -C "$here" -trimpath -ldflags "-s -w" -o "$fresh/" github.com/prometheus/node_exporter
  mv -f "$fresh/node_exporter" "$out/"
  printf '%s' "$want" >"$out/.node_exporter"
fi
printf '%s\n' "$out/node_exporter"
