#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# verify.sh [CHECK...]
# Runs the checks of this folder, all of them unless some are named, and says for
# each whether it holds and how long it took. A check is a script that prints
# what is wrong and ends with a status other than 0. None of them writes into the
# checkout. To add one, put it here: its file name is its name.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export TOOLS=${TOOLS:-$PWD/bin/tools}

checks=("$@")
if [[ $# == 0 ]]; then
  for script in hack/verify/*.sh; do
    name=$(basename "$script" .sh)
    [[ $name == verify || $name == files ]] || checks+=("$name")
  done
fi

failed=()
for name in "${checks[@]}"; do
  start=$SECONDS
  if output=$("hack/verify/$name.sh" 2>&1); then
    printf '%-12s ok    %3d s\n' "$name" $((SECONDS - start))
  else
    printf '%-12s FAIL  %3d s\n' "$name" $((SECONDS - start))
    sed 's/^/    /' <<<"$output"
    failed+=("$name")
  fi
done

if [[ ${#failed[@]} -gt 0 ]]; then
  echo "These checks failed: ${failed[*]}. Run one alone with hack/verify/verify.sh NAME." >&2
  exit 1
fi
