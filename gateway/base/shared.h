/* SPDX-License-Identifier: Apache-2.0 */
/* shared.h - every value that threads share and change: who writes it, who reads it.  Besides these, threads share only
 * counted generations and mailboxes; what a quota store says of itself (quota/store.h), and an embedded one decides by,
 * under its locks (quota/embedded.h); and cells with one writer each, which others only look at: the counters of stats.h,
 * the views of quota/share.h. */
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

/* A line of the processor's cache: what workers write for every request lies in different ones. */
#define LINE_BYTES 64

/* What one worker tells the others. */
struct shared_worker {
    atomic_int requests; /* at work.             write: that worker    read: control */
    char apart[LINE_BYTES - sizeof(atomic_int)];
};

/* What the workers of one gateway have in common. */
struct shared_gate {
    atomic_int waiting; /* in all queues.  write: workers    read: all */
    /* write: that worker    read: workers that give a slot back, control */
    atomic_int waiting_by_worker[WORKERS_MAX];
    /* 0, or 1 + how many workers after it the kick in its mailbox is for, too.  write: all */
    atomic_int kicks[WORKERS_MAX];
    atomic_int connections;  /* write: workers       read: control */
    atomic_bool is_draining; /* write: control       read: workers */
    struct shared_worker workers[WORKERS_MAX];
};

/* At work, at all workers. */
static inline int shared_requests(const struct shared_gate *shared)
{
    int requests = 0;

    for (int i = 0; i < WORKERS_MAX; i++)
        requests += atomic_load(&shared->workers[i].requests);
    return requests;
}
