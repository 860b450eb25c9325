#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sizes.sh - no file over 600 lines, no function over 60.
set -eu
status=0
for file in gateway/*.c gateway/*/*.[ch] tests/*/*.[ch] tests/unit/*/*.[ch]; do
    [ -f "$file" ] || continue
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || { echo "$file: $lines lines, the guide says 600"; status=1; }
done
awk '
    FNR == 1 { start = 0 }
    /^[a-zA-Z_].*[)]$/ { name = $0 }
    /^[{]/ { start = FNR }
    /^[}]/ {
        if (start && FNR - start > 60) {
            printf "%s:%d: a function of %d lines, the guide says 60: %s\n", FILENAME, start, FNR - start, name
            bad = 1
        }
        start = 0
    }
    END { exit bad }' gateway/*.c gateway/*/*.c tests/simgpu/*.c || status=1
exit $status
