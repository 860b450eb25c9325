/* SPDX-License-Identifier: Apache-2.0 */
/* denied.h - a worker's memory of limits that have refused, so that a flood of excess requests costs the store nothing.
 *
 * An entry says how one limit of one subject stood when it refused.  It is used only where it refuses again: a request
 * that may fit, an amended limit and a changed rule (the rule is part of the key) go to the store.  It lives
 *
 *   calendar         until the window ends, 60 s at most
 *   ROLLING, RATE    until units come back, 1 s at most
 *
 * and there is none while anything of the subject is held, nor of IN_FLIGHT: a job that fails gives its images back, and
 * whoever was told so must find them there.  It is dropped at once when this worker gives something back to the subject.
 * What operators amend clears the table: at once in the process that did it, and elsewhere once it is heard of, which
 * takes 1 s.  A worker that has not heard from the store for 2 s trusts no entry.
 *
 * The table is a fixed number of entries of 64 bytes; a full one forgets what would have gone soonest.  One thread's. */
#pragma once

#include "core/reservation.h"

#define DENIED_ENTRIES 262144 /* a worker: 16 MiB, touched only as far as it is used */

struct denied_counts {
    uint64_t hits; /* requests refused from here */
    uint64_t noted;
    uint64_t evicted; /* live entries that had to make room */
};

struct denied;

/* entries: a power of two, at least 8.  NULL: no memory. */
struct denied *denied_new(size_t entries);
void denied_free(struct denied **denied);

/* r was refused by the store: limits[refused_by] is told.  in_hand_images: held by its subject then.  now_us: store time,
 * as everywhere here. */
void denied_note(struct denied *denied, const struct reservation *r, int64_t in_hand_images,
                 int64_t now_us);
/* The index of a limit that is known to refuse r, which is then told; -1: none is. */
int denied_find(struct denied *denied, struct reservation *r, int64_t now_us);
/* Something was given back, or a hold ended. */
void denied_forget(struct denied *denied, const struct account_digest *subject);
void denied_clear(struct denied *denied);
/* Nothing was noted since it was cleared. */
bool denied_is_empty(const struct denied *denied);

size_t denied_bytes(const struct denied *denied);
struct denied_counts denied_counts(const struct denied *denied);
