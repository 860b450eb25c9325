/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.c - three states.  Half-open has one attempt out; only its end, either way, leads on. */

#include "core/breaker.h"

bool breaker_allows(struct breaker *b, int64_t now_us)
{
    switch (b->state) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_OPEN:
        if (now_us < b->retry_at_us)
            return false;
        b->state = BREAKER_HALF_OPEN;
        return true;
    case BREAKER_HALF_OPEN:
        return false;
    }
    return false;
}

void breaker_succeeded(struct breaker *b)
{
    b->state = BREAKER_CLOSED;
    b->failures = 0;
}

bool breaker_failed(struct breaker *b, const struct breaker_rule *rule, int64_t now_us)
{
    ASSERT(rule->open_after >= 1);
    if (b->state == BREAKER_OPEN)
        return false; /* of an attempt from before it opened: no reason to wait longer */
    if (b->failures < INT32_MAX)
        b->failures++;
    if (b->state == BREAKER_CLOSED && b->failures < rule->open_after)
        return false;
    b->state = BREAKER_OPEN;
    b->retry_at_us = now_us + rule->open_for_us;
    return true;
}
