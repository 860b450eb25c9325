/* SPDX-License-Identifier: Apache-2.0 */
/* limit.h - what a limit is: how much, of what, whose, in which window.
 *
 *   calendar   DAY, WEEK (ISO 8601: from Monday), MONTH: so many units from one local midnight to another
 *   ROLLING    so many units in any period_us; counted in slots of period/12, so a unit comes back at most one slot late
 *   RATE       GCRA (ITU-T I.371): units every period_us, burst_units at once
 *   IN_FLIGHT  so many images being made now
 *
 * Several limits hold together: a job is charged to all of them or to none.  A limit on trial (is_dry_run) is judged,
 * charged, logged and counted, and refuses nobody. */
#pragma once

#include "core/account.h"
#include "core/window.h"

#define LIMITS_MAX 6

enum limit_kind {
    LIMIT_NONE,
    LIMIT_DAY,
    LIMIT_WEEK,
    LIMIT_MONTH,
    LIMIT_ROLLING,
    LIMIT_RATE,
    LIMIT_IN_FLIGHT,
};

/* Whose: one account's; one account's with one model; a team's together. */
enum limit_scope { SCOPE_NONE, SCOPE_ACCOUNT, SCOPE_MODEL, SCOPE_TEAM };

/* Of what: images, or credits by the price list; IN_FLIGHT images alone. */
enum limit_measure { MEASURE_NONE, MEASURE_IMAGES, MEASURE_CREDITS };

/* As written in a policy. */
struct limit_rule {
    enum limit_kind kind;
    enum limit_scope scope;
    enum limit_measure measure;
    int64_t units;       /* thousandths of an image or credit, >= 0 */
    int64_t period_us;   /* ROLLING, RATE: > 0; else 0 */
    int64_t burst_units; /* RATE: > 0; else 0 */
    const char *
        model; /* SCOPE_MODEL: the name, or a beginning and "*"; else NULL.  Owned by the generation. */
    bool is_dry_run;
};

/* A rule made concrete for one instant, account and job. */
struct limit {
    struct limit_rule rule;
    struct account_digest subject; /* whose row is charged; see limit_subject() */
    struct window
        window; /* calendar kinds; for ROLLING, RATE the slot or segment is the store's matter */
    int64_t image_units; /* what one image of this job takes from it; UNITS_PER_IMAGE of images */
};

/* The digest under which a rule's row is kept, of the account's or team's own: rows of one subject, kind and window are one
 * row, so what tells rules of a kind apart is mixed in: the model, that it counts credits, a rolling period.  For images
 * of one account in calendar, rate and in-flight limits it is the account's own digest.
 *
 * The first LIMIT_SUBJECT_KEPT bytes are always the owner's, so that all of an account's rows can lie in one bucket.
 * The other 96 bits are the owner's XOR a 128-bit hash of what is mixed in.  Two accounts collide under one rule only if
 * they collide without it.  Under two rules (or a rule and none) two random digests are equal with 2^-96, those that lie
 * in one bucket and are told apart by 40 bits with 2^-40: with 128 accounts of six rules in each of 65,536 buckets, one
 * pair in 57 such installations; of one rule, one pair in 2,000.  Whoever can choose account ids finds one no sooner than two that collide. */
#define LIMIT_SUBJECT_KEPT 4
struct account_digest limit_subject(const struct limit_rule *rule, struct account_digest owner);
/* "daily", "weekly", "monthly", "rolling", "rate", "in_flight": in RateLimit fields, messages and logs. */
const char *limit_name(enum limit_kind kind);
/* The window's length in seconds, rounded up, for RateLimit-Policy; 0 for IN_FLIGHT. */
int64_t limit_window_s(const struct limit *limit);
static inline bool limit_is_calendar(enum limit_kind kind)
{
    return kind == LIMIT_DAY || kind == LIMIT_WEEK || kind == LIMIT_MONTH;
}
