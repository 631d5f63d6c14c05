#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every script can be parsed; those that are called have the right to run.
set -euo pipefail
. hack/verify/files.sh

status=0
while IFS= read -r -d '' file; do
  bash -n "$file" || status=1
  if head -n 1 "$file" | grep -q '^#!' && [[ ! -x $file ]]; then
    echo "$file is not executable"
    status=1
  fi
done < <(files '*.sh' '.ci/run')
exit $status
