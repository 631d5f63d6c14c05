#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# Fills bin/k8s with a Kubernetes control plane and prints that folder.
#
# etcd, kube-apiserver and kubectl come from $KUBEBUILDER_ASSETS when it is set,
# else from the newest set that setup-envtest has installed, else they are built
# from the modules that hack/k8s/go.mod pins. The controller manager, the
# scheduler and KWOK are always built: envtest's sets do not have them.
# A binary is rebuilt only when the module file it comes from changes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out="$root/bin/k8s"
mkdir -p "$out"

# Two test runs may start at the same time; one of them builds.
exec 9>"$out/.lock"
flock 9

say() { printf '%s\n' "$*" >&2; }

given() {
  if [[ -n "${KUBEBUILDER_ASSETS:-}" ]]; then
    for b in etcd kube-apiserver kubectl; do
      if [[ ! -x "$KUBEBUILDER_ASSETS/$b" ]]; then
        say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no executable $b: fix the folder or unset the variable"
        exit 1
      fi
    done
    printf '%s' "$KUBEBUILDER_ASSETS"
    return
  fi
  local store="${XDG_DATA_HOME:-$HOME/.local/share}/kubebuilder-envtest/k8s"
  [[ -d "$store" ]] || return 0
  local newest
  newest=$(find "$store" -mindepth 1 -maxdepth 1 -type d | sort -V | tail -n 1)
  if [[ -n "$newest" && -x "$newest/kube-apiserver" && -x "$newest/etcd" && -x "$newest/kubectl" ]]; then
    printf '%s' "$newest"
  fi
}

fresh() { # fresh STAMP KEY: whether STAMP holds KEY
  [[ -f "$out/$1" && "$(<"$out/$1")" == "$2" ]]
}

key() { cat "$@" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1; }

version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$here/go.mod")
minor=${version#v1.}
minor=${minor%%.*}
ldflags="-s -w
  -X k8s.io/component-base/version.gitVersion=$version
  -X k8s.io/component-base/version.gitMajor=1
  -X k8s.io/component-base/version.gitMinor=$minor
  -X k8s.io/component-base/version.gitTreeState=clean"

kubernetes=(k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler)
assets=$(given)
if [[ -n "$assets" ]]; then
  for b in etcd kube-apiserver kubectl; do ln -sfn "$assets/$b" "$out/$b"; done
else
  kubernetes+=(k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl)
fi

# Programs are put in place whole: somebody may be running the old ones.
build() { # build MODULE_DIR LDFLAGS PACKAGE...
  local module=$1 flags=$2 fresh
  shift 2
  fresh=$(mktemp -d "$out/.build-XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$fresh'" EXIT
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -C "$module" -trimpath -ldflags "$flags" -o "$fresh/" "$@"
  if [[ -x "$fresh/server" ]]; then mv "$fresh/server" "$fresh/etcd"; fi # etcd calls its main package server
  mv -f "$fresh"/* "$out/"
  rmdir "$fresh"
}

want=$(key "$here/go.mod" "$here/go.sum" <(printf '%s' "$assets" "$(go env GOVERSION)"))
if ! fresh .kubernetes "$want"; then
  say "Building Kubernetes $version into bin/k8s (about 7 minutes on 2 cores the first time)..."
  build "$here" "$ldflags" "${kubernetes[@]}"
  [[ -n "$assets" ]] || build "$here" "-s -w" go.etcd.io/etcd/server/v3
  printf '%s' "$want" >"$out/.kubernetes"
fi

want=$(key "$here/kwok/go.mod" "$here/kwok/go.sum" <(go env GOVERSION))
if ! fresh .kwok "$want"; then
  say "Building KWOK into bin/k8s..."
  build "$here/kwok" "-s -w" sigs.k8s.io/kwok/cmd/kwok
  printf '%s' "$want" >"$out/.kwok"
fi

printf '%s\n' "$out"
