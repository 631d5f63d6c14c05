# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT
# shellcheck shell=bash

# Sourced by the checks: files [PATTERN...] prints, each ended by a NUL, the files
# of the checkout that are or could be committed and still exist.
files() {
  git ls-files -z --cached --others --exclude-standard --deduplicate -- "$@" |
    while IFS= read -r -d '' path; do
      if [[ -e $path ]]; then printf '%s\0' "$path"; fi
    done
}
