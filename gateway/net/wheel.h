/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.h - the timers of one loop: two wheels of 256 slots, 8 ms and 2 s a slot.  Used by loop.c alone.
 *
 * A timer lies in the slot of its deadline or, when the deadline was moved later since, of an earlier one; it is looked
 * at when that slot's time comes, and put where it belongs by then.  Deadlines past nine minutes lie in the farthest
 * slot. */
#pragma once

#include "net/loop.h"

#define WHEEL_TICK_US    8000
#define WHEEL_SLOTS_LOG2 8
#define WHEEL_SLOTS      (1 << WHEEL_SLOTS_LOG2)

struct wheel_ring {
    struct list slots[WHEEL_SLOTS];
    uint64_t marks[WHEEL_SLOTS / 64]; /* bit set: the slot may hold timers */
};

struct wheel {
    int64_t tick;           /* the last one whose timers were fired */
    struct wheel_ring near; /* a tick a slot */
    struct wheel_ring far;  /* WHEEL_SLOTS ticks a slot */
};

void wheel_init(struct wheel *wheel, int64_t now_us);
void wheel_set(struct wheel *wheel, struct timer *timer, int64_t deadline_us);
/* Fires what is due.  A timer that is set meanwhile, for a time already past, may be fired in a later call only. */
void wheel_advance(struct wheel *wheel, int64_t now_us);
/* When wheel_advance is wanted next; INT64_MAX: no timers. */
int64_t wheel_next_us(struct wheel *wheel);
/* Clears all timers. */
void wheel_fini(struct wheel *wheel);
