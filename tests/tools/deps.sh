#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deps.sh - installs the Debian packages that building, testing and the demo need, as far as they are missing.
#   deps.sh [lint|model]      with lint: also what `make fmt lint fuzz` use; with model: what `make model` uses
set -eu

packages="gcc make pkg-config libc6-dev libevent-dev libhiredis-dev libssl-dev libyaml-dev libyajl-dev liblmdb-dev
    libxxhash-dev libpng-dev libcriterion-dev redis-server python3 curl tzdata procps ca-certificates"
[ "${1:-}" = lint ] && packages="$packages clang clang-format clang-tidy"
[ "${1:-}" = torture ] && packages="$packages faketime"
[ "${1:-}" = model ] && packages="gcc libc6-dev spin"

# Debian 13 has llhttp as a library, Debian 12 as the C files of a Node package.
# shellcheck disable=SC1091
version=$(. /etc/os-release && echo "${VERSION_ID:-0}")
if [ "${1:-}" = model ]; then :; elif [ "${version%%.*}" -ge 13 ] 2>/dev/null; then packages="$packages libllhttp-dev"; else packages="$packages node-llhttp"; fi

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
