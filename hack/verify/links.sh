#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Every link from a page to a file of this repository leads somewhere.
set -euo pipefail
. hack/verify/files.sh

# links FILE prints the targets of [text](target) and [name]: target outside code.
links() {
  awk '/^ *(```|~~~)/ { code = !code; next } !code' "$1" |
    sed 's/`[^`]*`//g' |
    grep -oE '\]\([^)]+\)|^\[[^]]+\]: +[^ ]+' |
    sed -E 's/^\]\(//; s/^\[[^]]+\]: +//; s/ +"[^"]*"\)?$//; s/\)$//' || true
}

status=0
while IFS= read -r -d '' page; do
  while IFS= read -r target; do
    case $target in
      *://* | mailto:* | '#'* | '') continue ;;
    esac
    path=${target%%#*}
    if [[ $path == /* ]]; then path=.$path; else path=$(dirname "$page")/$path; fi
    if [[ ! -e $path ]]; then
      echo "$page links to $target, which does not exist"
      status=1
    fi
  done < <(links "$page")
done < <(files '*.md')
exit $status
