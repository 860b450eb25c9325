/* SPDX-License-Identifier: Apache-2.0 */
/* bucket.h - rate and rolling arithmetic on values that a store keeps.  Pure; the stores and their tests share it.
 * Integers only; a result that does not fit is the largest number, never a wrong one.
 *
 * RATE: GCRA (ITU-T I.371 annex A, virtual scheduling).  The value kept is the theoretical arrival time (TAT), in
 * microseconds of store time.  One image is worth an interval, period / units rounded up: to whole milliseconds where it
 * is a second or longer, else to whole microseconds.  So any split of a burst into whole images (and with intervals of a
 * second or longer, into any parts) passes at once, no more ever does, and the rate errs by at most a thousandth, to the
 * slow side. */
#pragma once

#include "core/limit.h"

struct bucket_answer {
    bool is_allowed;
    int64_t value;      /* the TAT to keep: with the charge where allowed, else as it was */
    int64_t left_units; /* that could be charged at now, beside that */
    int64_t
        retry_at_us; /* when the units could be charged; now where they were; INT64_MAX: never */
};

/* How far so many units move the TAT.  A script that is handed the costs of the charge and of burst_units decides alike:
 * base = max(tat, now); allowed if base + cost - now <= burst. */
int64_t bucket_cost_us(const struct limit_rule *rule, int64_t units);
/* The units that fit into so much of TAT: the charge's remainder, where a store has only times. */
int64_t bucket_units_in(const struct limit_rule *rule, int64_t room_us);

/* Charges units (>= 0) at now_us to a TAT (0: none yet).  units over burst_units never fit. */
struct bucket_answer bucket_take(const struct limit_rule *rule, int64_t tat_us, int64_t units,
                                 int64_t now_us);
/* Gives back units that were charged at charged_at_us, as far as they have not dripped away since: the TAT moves back by
 * their cost less the time that has passed, and never below 0.
 *
 * More would be too much: a bucket that has drained since then holds nothing of that charge, and the burst could be had
 * twice.  What is here is safe in any order of charges and refunds: the bucket's level is at least that of one which
 * knew from the start what would be used, plus the refunds still possible, since the level drains at one second a
 * second and the refunds together at least as fast. */
int64_t bucket_give(const struct limit_rule *rule, int64_t tat_us, int64_t units,
                    int64_t charged_at_us, int64_t now_us);
/* The same of units whose cost is known. */
int64_t bucket_give_us(int64_t tat_us, int64_t cost_us, int64_t charged_at_us, int64_t now_us);

/* ROLLING: counts in slots of a twelfth of the period, rounded up; slot is the number of the newest. */
#define ROLLING_SLOTS 12
#define ROLLING_COUNTS                                                                             \
    (ROLLING_SLOTS + 1) /* one more than the period, so that none comes back early */
struct rolling {
    int64_t slot;
    int64_t counts[ROLLING_COUNTS]; /* the newest last: counts[i] is of slot - ROLLING_SLOTS + i */
};
int64_t rolling_slot_us(const struct limit_rule *rule); /* the length of a slot, >= 1 */
int64_t rolling_slot(const struct limit_rule *rule, int64_t now_us);
/* Drops what is older than the period.  A slot before the newest changes nothing: clocks may step back a little, and
 * what is charged then counts for a little longer. */
void rolling_advance(struct rolling *r, int64_t slot);
int64_t rolling_sum(const struct rolling *r);
/* Charges the newest slot. */
void rolling_add(struct rolling *r, int64_t units);
/* Gives back what was charged in that slot: never below 0, and nothing once it has gone. */
void rolling_give(struct rolling *r, int64_t slot, int64_t units);
/* When so many units will be free, given the counts: the end of the slot whose going frees them.  The newest slot's start
 * where they are free already; INT64_MAX where they never will be. */
int64_t rolling_free_at_us(const struct limit_rule *rule, const struct rolling *r, int64_t units);
