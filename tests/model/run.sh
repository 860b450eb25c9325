#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh [--mutations] - checks the quota protocol's model (quota.pml) with Spin: every order of its steps, in each of some
# worlds.  With --mutations, each world has a defect seeded, which must be found.
# run.sh --trace FLAG... - the shortest sequence of steps that breaks a promise in the world of these flags, for people.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${MELTGUARD_BUILD:-build}/model
mkdir -p "$build"
build=$(cd "$build" && pwd)

# name, and what may go wrong; see the head of quota.pml
worlds='
crash           -DCRASHES=1 -DREQUESTS=2
crashes         -DCRASHES=2 -DLOSSES=1
images          -DCRASHES=1 -DLOSSES=1 -DASK=2 -DLIMIT=2
team            -DCRASHES=1 -DLOSSES=1 -DPARTS=2 -DLIMIT=2 -DTEAM_LIMIT=1 -DNO_MIDNIGHT
acknowledged    -DCRASHES=1 -DLOSSES=1 -DACKNOWLEDGED
links           -DCRASHES=1 -DLOSSES=2
late-messages   -DCRASHES=1 -DLOSSES=1 -DLATE -DRENEWALS=1 -DNO_MIDNIGHT
long-cuts       -DCRASHES=1 -DLOSSES=1 -DANY_LEASE -DNO_MIDNIGHT
long-cuts-told  -DLOSSES=1 -DANY_LEASE -DACKNOWLEDGED -DNO_MIDNIGHT
long-cuts-twice -DLOSSES=2 -DANY_LEASE -DNO_MIDNIGHT
long-cuts-late  -DLOSSES=1 -DANY_LEASE -DLATE -DNO_MIDNIGHT
long-cuts-team  -DANY_LEASE -DENDING=2 -DPARTS=2 -DLIMIT=2 -DTEAM_LIMIT=1 -DNO_MIDNIGHT
long-cuts-alone -DCRASHES=1 -DLOSSES=1 -DANY_LEASE -DGATEWAYS=1 -DPARTS=2 -DLIMIT=2 -DTEAM_LIMIT=1 -DNO_MIDNIGHT
rows-lost       -DCRASHES=1 -DROWS_LOST
'
# Seeded defects.  One of them is none: "commit: sent" does not promise to survive a link and a gateway that die together
# (both-die-at-once); see the head of quota.pml.
mutations='
no-floor          -DMUT_NO_FLOOR -DROWS_LOST
zadd-without-nx   -DMUT_NO_NX -DLOSSES=1
retry-refused     -DMUT_RETRY_REFUSED -DLOSSES=1
commit-after      -DMUT_DELIVER_FIRST -DCRASHES=1
present-window    -DMUT_PRESENT_WINDOW
reap-committed    -DMUT_REAP_COMMITTED -DCRASHES=1
no-reap           -DMUT_NO_REAP -DCRASHES=1
settle-twice      -DMUT_SETTLE_TWICE -DLOSSES=1
no-revive         -DMUT_NO_REVIVE -DANY_LEASE -DLOSSES=1
revive-if-sent    -DMUT_REVIVE_SENT -DCRASHES=1 -DLOSSES=1
no-outbox         -DMUT_NO_OUTBOX -DCRASHES=1 -DLOSSES=1
outbox-unmarked   -DMUT_NO_MARK -DCRASHES=1 -DLOSSES=1
settle-overtakes  -DMUT_OVERTAKES -DLOSSES=1
denied-grants     -DMUT_DENIED_GRANTS -DREQUESTS=2
keeps-unwanted    -DMUT_KEEPS_UNWANTED
keeps-earlier     -DMUT_KEEPS_EARLIER -DPARTS=2 -DLIMIT=2 -DTEAM_LIMIT=1
both-die-at-once  -DUNNOTICED -DCRASHES=1 -DLOSSES=1
renew-uncommits   -DMUT_RENEW -DCRASHES=1 -DLOSSES=1 -DLATE -DRENEWALS=1
no-tombstones     -DMUT_NO_TOMB -DLOSSES=1 -DANY_LEASE
takes-no-tomb     -DMUT_TAKES_NOT -DLOSSES=2 -DANY_LEASE
no-marker         -DMUT_NO_MARKER -DLOSSES=2 -DANY_LEASE -DLATE -DNO_MIDNIGHT
late-not-asked    -DMUT_NOT_ASKED -DANY_LEASE
settle-behind     -DMUT_SETTLE_BEHIND -DLOSSES=1 -DRENEWALS=1
'

make_checker() { # folder, options of the C compiler, flags of the model
    mkdir -p "$1" && cd "$1"
    rm -f ./*.trail
    cp "$here/quota.pml" .
    options=$2
    shift 2
    spin -a "$@" quota.pml >spin.log
    # shellcheck disable=SC2086
    gcc -w -DSAFETY -DCOLLAPSE -DMEMLIM=950 $options -o pan pan.c
}

# What broke, without the characters that mean something to sed.
why() { sed -nE 's/^pan:[0-9]+: (.*) \(at depth.*/\1/p' pan.log | head -n 1 | sed 's/[/\\]/ of /g; s/&&/ and /g' | cut -c 1-72; }

steps() { spin -t -T "$@" quota.pml 2>&1 | grep -E '^ *(Redis|gateway|midnight)|text of failed' | sed 's/^ */    /'; }

case ${1:-} in
--one) # expected, name, flags
    expected=$2 name=$3
    shift 3
    speed=-O2
    [ "$expected" = kept ] || speed=-O0 # the compiler would take longer than the search
    make_checker "$build/$name" $speed "$@"
    ./pan -m1000000 -w24 >pan.log 2>&1 || true
    found=broken
    grep -q 'errors: 0' pan.log && ! grep -qE 'reached -DMEMLIM|too small|truncated|out of memory' pan.log && found=kept
    grep -qE '^pan:[0-9]+: (assertion|invalid end)' pan.log && found=found
    states=$(sed -nE 's/^ *([0-9e.+]+) states, stored.*/\1/p' pan.log)
    printf '  %-17s %-9s states  %s\n' "$name" "$states" "$(echo "$found" | sed "s/kept/every promise kept/
        s/found/$(why)/")"
    [ "$found" = "$expected" ] && exit 0
    [ "$found" = found ] && steps "$@"
    tail -n 3 pan.log
    exit 1
    ;;
--trace)
    shift
    make_checker "$build/trace" "-O1 -DBFS" "$@"
    ./pan -w24 2>&1 | grep -E '^pan:[0-9]|errors:'
    [ ! -e quota.pml.trail ] || steps "$@"
    exit 0
    ;;
--mutations) list=$mutations expected=found what="defects found" ;;
*) list=$worlds expected=kept what="worlds checked" ;;
esac

status=0
echo "$list" | sed '/^$/d' | xargs -P 2 -L 1 "$here/run.sh" --one "$expected" || status=1
[ $status = 0 ] || { echo "model: FAILED"; exit 1; }
echo "model: $(echo "$list" | sed '/^$/d' | wc -l) $what, 0 failed"
