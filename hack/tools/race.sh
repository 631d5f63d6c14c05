#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Prints -race where the race detector can be built, which takes a C compiler;
# prints nothing, and says so, where there is none and it cannot be installed.
set -euo pipefail

compiler=$(go env CC)
if ! command -v "${compiler%% *}" >/dev/null && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "Installing a C compiler for the race detector..." >&2
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends gcc libc6-dev; } >&2 || true
fi
if command -v "${compiler%% *}" >/dev/null; then
  echo -race
else
  echo "No C compiler ($compiler): the tests run without the race detector." >&2
fi
