#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# fuzz.sh DURATION [PACKAGE...]
# Runs every fuzz test of the packages, by default of the module, for DURATION,
# one after the other: go test takes one at a time.
set -euo pipefail

duration=$1
shift
found=0
while read -r dir; do
  while read -r name; do
    found=$((found + 1))
    echo "Fuzzing $name in ${dir#"$PWD"/} for $duration"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$duration" "$dir"
  done < <(cat "$dir"/*_test.go 2>/dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p')
done < <(go list -f '{{.Dir}}' "${@:-./...}")
echo "$found fuzz tests ran."
