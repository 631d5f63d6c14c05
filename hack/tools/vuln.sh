#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# vuln.sh PATTERN...
# Runs govulncheck. A database that cannot be reached is an error, or one line on
# standard error where VULN_OFFLINE=allow.
set -euo pipefail

database=${GOVULNDB:-https://vuln.go.dev}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

status=0
"${TOOLS:-bin/tools}/govulncheck" "$@" >"$output" 2>&1 || status=$?
# govulncheck ends with 3 when it has found something and with 1 when it could
# not look.
if [[ $status == 1 ]] && grep -qE 'fetching vulnerabilities|vuln\.go\.dev|dial tcp|no such host' "$output"; then
  echo "The vulnerability database $database cannot be reached: the dependencies were not checked." >&2
  [[ ${VULN_OFFLINE:-} == allow ]] && exit 0
  exit 1
fi
cat "$output"
exit "$status"
