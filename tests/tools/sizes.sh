#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sizes.sh FILE... - no file over 600 lines, no function over 60; tests may be long tables.
set -eu
status=0
for file in "$@"; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || { echo "$file: $lines lines, the guide says 600"; status=1; }
done
awk '
    FNR == 1 { start = 0 }
    /^[a-zA-Z_].*[)]$/ { name = $0 }
    /^[{]/ { start = FNR }
    /^[}]/ {
        if (start && FILENAME !~ /^tests\/unit/ && FNR - start > 60) {
            printf "%s:%d: a function of %d lines, the guide says 60: %s\n", FILENAME, start, FNR - start, name
            bad = 1
        }
        start = 0
    }
    END { exit bad }' "$@" || status=1
exit $status
