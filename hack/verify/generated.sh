#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Generates everything anew in a copy of the checkout and compares: nothing may
# differ, be missing or be left over from a type that is gone.
set -euo pipefail
. hack/verify/files.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/committed"
files | xargs -0 cp -pP --parents -t "$work/committed"
cp -rp "$work/committed" "$work/generated"

cd "$work/generated"
find . -name 'zz_generated.*' -delete
rm -rf api/v1alpha1/applyconfiguration config/crd/bases
make generate manifests TOOLS="$TOOLS" >"$work/log" 2>&1 || {
  cat "$work/log"
  exit 1
}
cd "$work"
diff -ruN --exclude=bin committed generated || {
  echo "Run make generate manifests and commit what it changes."
  exit 1
}
