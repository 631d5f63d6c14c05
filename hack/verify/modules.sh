#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every module file is what go mod tidy makes of it.
set -euo pipefail
. hack/verify/files.sh

status=0
while IFS= read -r -d '' file; do
  dir=$(dirname "$file")
  GOFLAGS='' go mod tidy -C "$dir" -diff || {
    echo "$file is not tidy: run go mod tidy in its folder."
    status=1
  }
done < <(files 'go.mod' '**/go.mod')
exit $status
