#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh - installs the Debian packages that the benchmarks compare with or measure with, as far as they are missing.
#   deps.sh [guard]     with guard: only what `make bench-guard` uses
# Nothing is left running: the benchmarks start each program by hand, on a free port, in a folder of its own.
set -eu

packages="nginx libnginx-mod-http-lua lua-nginx-redis lua-cjson haproxy redis-server procps"
[ "${1:-}" = guard ] && packages="valgrind"

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
