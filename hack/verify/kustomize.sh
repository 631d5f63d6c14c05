#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every kustomization builds.
set -euo pipefail
. hack/verify/files.sh

status=0
found=0
while IFS= read -r -d '' file; do
  found=$((found + 1))
  dir=$(dirname "$file")
  errors=$("$TOOLS/kustomize" build "$dir" 2>&1 >/dev/null) || {
    echo "$dir: $errors"
    status=1
  }
  # A deprecated field builds, but not for long.
  if grep -q 'deprecated' <<<"$errors"; then
    echo "$dir: $errors"
    status=1
  fi
done < <(files 'config/**/kustomization.yaml')
if [[ $found == 0 ]]; then
  echo "config/ has no kustomization.yaml"
  status=1
fi
exit $status
