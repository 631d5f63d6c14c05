#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every target of the Makefile that is no file has a line of help and is phony.
set -euo pipefail

status=0
phony=" $(sed -n 's/^\.PHONY: //p' Makefile) "
while IFS= read -r line; do
  target=${line%%:*}
  if ! grep -qE ':.*## [A-Z].*\.$' <<<"$line"; then
    echo "Makefile: $target has no help: end its line with '## A sentence.'"
    status=1
  fi
  if [[ $phony != *" $target "* ]]; then
    echo "Makefile: $target is not in .PHONY"
    status=1
  fi
done < <(grep -E '^[A-Za-z][A-Za-z0-9_-]*:([^=]|$)' Makefile)
exit $status
