#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh - installs the Debian packages that a target of the Makefile needs, as far as they are missing.
#   deps.sh           building, testing, the demo and the torture test
#   deps.sh TARGET    lint (also fmt and fuzz), model, bench, guard: what that needs beside it
# Nothing is left running: whoever needs a server starts it by hand, on a free port, in a folder of its own.
set -eu

build="gcc make pkg-config libc6-dev libevent-dev libhiredis-dev libssl-dev libyaml-dev libyajl-dev liblmdb-dev
    libxxhash-dev libpng-dev libcriterion-dev redis-server openssl faketime python3 curl tzdata procps ca-certificates"

# Debian 13 has Valkey, and llhttp as a library; Debian 12 as the C files of a Node package.
# shellcheck disable=SC1091
version=$(. /etc/os-release && echo "${VERSION_ID:-0}")
if [ "${version%%.*}" -ge 13 ] 2>/dev/null; then build="$build libllhttp-dev valkey-server"; else build="$build node-llhttp"; fi

case "${1:-}" in
'') packages=$build ;;
lint) packages="clang clang-format clang-tidy libclang-rt-dev" ;;
model) packages="spin" ;;
bench) packages="nginx libnginx-mod-http-lua lua-nginx-redis lua-cjson haproxy" ;;
guard) packages="valgrind" ;;
*) echo "deps.sh: no target $1, expected lint, model, bench or guard" >&2; exit 2 ;;
esac

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "Installing missing packages:$missing"
export DEBIAN_FRONTEND=noninteractive
# A server installed here is not to be started as a service.
RUNLEVEL=1 $sudo sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing" >/tmp/meltguard-deps.log 2>&1 || {
    tail -n 20 /tmp/meltguard-deps.log >&2
    echo "Some packages could not be installed; the whole log is in /tmp/meltguard-deps.log" >&2
    exit 1
}
