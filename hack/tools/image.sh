#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# image.sh ROLE TAG
# Builds the image of one program from bin/ROLE with docker or buildah.
set -euo pipefail

role=$1
tag=$2
if [[ ! -x bin/$role || ! -d cmd/$role ]]; then
  echo "ROLE=$role is no program of this repository: choose one of $(cd cmd && echo *)." >&2
  exit 1
fi

docker_works() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

if ! docker_works && ! command -v buildah >/dev/null && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "Installing buildah..." >&2
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends buildah; } >&2 || true
fi

if docker_works; then
  docker build --build-arg "ROLE=$role" --tag "$tag" .
elif command -v buildah >/dev/null; then
  # vfs needs no mounts, so it works in containers and without FUSE.
  buildah --storage-driver "${BUILDAH_STORAGE_DRIVER:-vfs}" bud --build-arg "ROLE=$role" --tag "$tag" .
else
  echo "An image takes docker with a running daemon, or buildah, and neither is here: install one of them." >&2
  exit 1
fi
echo "Built $tag"
