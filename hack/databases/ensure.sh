#!/usr/bin/env bash
# Copyright The AtlHyper Authors.
# SPDX-License-Identifier: MIT

# ensure.sh postgres|mariadb
# Prints the folder of the server's programs. On Debian and its relatives root
# installs them when they are missing; nothing is started. Elsewhere, install
# Postgres 14 or newer, or MariaDB 10.6 or newer, and say where its programs are in
# POSTGRES_BIN or MARIADB_BIN.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

# folder FILE FOLDER...: the last folder that has the executable.
folder() {
  local file=$1 found='' f
  shift
  for f in "$@"; do
    if [[ -x "$f/$file" ]]; then found=$f; fi
  done
  if [[ -n $found ]]; then printf '%s\n' "$found"; else return 1; fi
}

install() { # install PACKAGE...
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    say "$server is missing. Install it, or set ${server^^}_BIN to the folder of its programs."
    say "As root on Debian or Ubuntu this script installs: $*"
    exit 1
  fi
  exec 9>/tmp/atlhyper-databases.lock
  flock 9 # two test runs may start at the same time
  say "Installing $* ..."
  # Debian starts servers that it installs, unless a policy forbids it.
  local policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    # shellcheck disable=SC2064
    trap "rm -f $policy" EXIT
  fi
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2; then
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2
  fi
}

server=${1:-}
case $server in
  postgres)
    if [[ -n ${POSTGRES_BIN:-} ]]; then
      folder postgres "$POSTGRES_BIN" || { say "POSTGRES_BIN=$POSTGRES_BIN has no executable postgres"; exit 1; }
      exit
    fi
    folders() { folder postgres /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; }
    folders || { install postgresql && folders; }
    ;;
  mariadb)
    if [[ -n ${MARIADB_BIN:-} ]]; then
      folder mariadbd "$MARIADB_BIN" || { say "MARIADB_BIN=$MARIADB_BIN has no executable mariadbd"; exit 1; }
      exit
    fi
    folders() { folder mariadbd /usr/sbin /usr/libexec /opt/homebrew/opt/mariadb*/bin /usr/local/opt/mariadb*/bin; }
    # The core package has the programs and no service.
    folders || { install mariadb-server-core && folders; }
    ;;
  *)
    say "usage: $0 postgres|mariadb"
    exit 2
    ;;
esac
