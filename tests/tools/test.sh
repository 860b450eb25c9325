#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test.sh unit|e2e ... - runs the named suites and ends with their totals on a line of their own.
# ONLY=PART runs a part of the end-to-end tests.
set -u
build=${MELTGUARD_BUILD:-build}
passed=0 failed=0 skipped=0 status=0
log=$build/test.log

add_totals() { # the last line of the log that looks like totals
    totals=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    passed=$((passed + $(echo "$totals" | sed -nE 's/^([0-9]+) passed.*/\1/p; $!d' | grep . || echo 0)))
    failed=$((failed + $(echo "$totals" | sed -nE 's/.* ([0-9]+) failed.*/\1/p' | grep . || echo 0)))
    skipped=$((skipped + $(echo "$totals" | sed -nE 's/.* ([0-9]+) skipped.*/\1/p' | grep . || echo 0)))
}

run_unit() {
    echo "== unit tests"
    "$build/unit" -j2 >"$log" 2>&1 || status=1
    grep -avE '^\[(RUN |SKIP)' "$log"
    sed -nE 's/.*Synthesis: Tested: ([0-9]+) \| Passing: ([0-9]+) \| Failing: ([0-9]+) \| Crashing: ([0-9]+).*/\2 \3 \4/p' \
        "$log" | { read -r ok bad crashed && echo "$ok passed, $((bad + crashed)) failed"; } >>"$log"
    add_totals
}

run_e2e() {
    echo "== end-to-end tests"
    # A pipe, so that each test is seen as it ends; the status travels in a file.
    { MELTGUARD_BUILD=$build python3 tests/e2e/run.py ${ONLY:-} 2>&1; echo $? >"$build/e2e.status"; } | tee "$log" |
        grep -vE '^[0-9]+ passed, '
    [ "$(cat "$build/e2e.status")" = 0 ] || status=1
    add_totals
}

for suite in "$@"; do "run_$suite"; done
[ "$passed" -gt 0 ] || { status=1; failed=$((failed + 1)); echo "no test ran"; }
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" = 0 ] || status=1
exit $status
