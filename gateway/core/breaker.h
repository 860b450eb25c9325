/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.h - closed, open, half-open: stop asking what keeps failing, and try it again now and then. */
#pragma once

#include "base/base.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    int failures;        /* in a row */
    int64_t retry_at_us; /* while open */
};

struct breaker_rule {
    int open_after; /* failures in a row, >= 1 */
    int64_t open_for_us;
};

/* May one be tried now?  Open turns half-open when its time is over and lets exactly one through; whoever is let through
 * must report how it went, else it stays half-open. */
bool breaker_allows(struct breaker *b, int64_t now_us);
void breaker_succeeded(struct breaker *b);
/* True when this failure opened it, for the first time or again. */
bool breaker_failed(struct breaker *b, const struct breaker_rule *rule, int64_t now_us);
