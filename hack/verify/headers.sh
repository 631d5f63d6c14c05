#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every Go file begins with the lines of hack/boilerplate.go.txt, every script
# has them below its first line.
set -euo pipefail
. hack/verify/files.sh

boilerplate=$(<hack/boilerplate.go.txt)
lines=$(wc -l <<<"$boilerplate")
status=0
while IFS= read -r -d '' file; do
  # Generated files name their generator first or last; both are fine.
  if [[ $(head -n 5 "$file") != *"$boilerplate"* ]]; then
    echo "$file does not begin with hack/boilerplate.go.txt"
    status=1
  fi
done < <(files '*.go')

script=${boilerplate//\/\/ /# }
while IFS= read -r -d '' file; do
  if [[ $(head -n $((lines + 1)) "$file") != *"$script"* ]]; then
    echo "$file does not begin with hack/boilerplate.go.txt as a comment"
    status=1
  fi
done < <(files '*.sh' '.ci/run')
exit $status
