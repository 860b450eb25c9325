/* SPDX-License-Identifier: Apache-2.0 */
/* shared.h - every value that threads share and change: who writes it, who reads it.  Besides these, threads share only
 * counted generations and mailboxes, and what an embedded quota store decides by, under its locks (quota/embedded.h);
 * counters of stats.h have one writer each. */
#pragma once

#include <stdatomic.h>

#include "base/base.h"

#define WORKERS_MAX 256

/* What is known of a backend now. */
struct shared_backend {
    atomic_int in_flight; /* slots taken.            write: workers    read: workers, control */
    atomic_int failures;  /* in a row.               write: workers, control (probe) */
    atomic_bool is_up;    /* false: ejected.  write: workers (out), control (back)    read: all */
    /* Readings, each with the monotonic time of the last that was known (0: none yet).
     * write: control    read: workers, control */
    atomic_llong sampled_us; /* of any reading */
    atomic_llong temperature_mc, temperature_us;
    atomic_llong queue_depth, queue_us;
    atomic_llong power_mw, power_us;
    /* The ladder's active steps: bits in the low half, the config generation that they belong to in the high half.
     * write: workers, control, each from the same readings; a lost update is made again at the next judgement. */
    atomic_ullong ladder;
};

/* What the workers of one gateway have in common. */
struct shared_gate {
    atomic_int waiting; /* in all queues.  write: workers    read: all */
    /* write: that worker    read: workers that give a slot back, control */
    atomic_int waiting_by_worker[WORKERS_MAX];
    /* 0, or 1 + how many workers after it the kick in its mailbox is for, too.  write: all */
    atomic_int kicks[WORKERS_MAX];
    atomic_int requests;     /* at work.             write: workers    read: control (drain) */
    atomic_int connections;  /* write: workers       read: control */
    atomic_bool is_draining; /* write: control       read: workers */
};
