/* SPDX-License-Identifier: Apache-2.0 */
/* row.h - what both stores keep of a limit, what a hold takes from it, and how it stands.  Pure; time is a parameter.
 *
 * A store counts in grains, the smallest amount that it tells apart: a whole image, or a thousandth of a credit, since
 * prices have fractions.  So the row of a daily quota of images is a small integer.
 *
 *   calendar   granted * span + used, in one integer: without grants it is just what was used
 *   ROLLING    counts by slot
 *   RATE       the TAT (core/bucket.h)
 *   IN_FLIGHT  no row: the images in the ledger, so that nothing can drift
 *
 * Rows of ROLLING and RATE never end, yet must not stay for ever.  They lie in segments of time: what is not found in the
 * present segment is looked for in the one before, and written to the present one. */
#pragma once

#include "core/bucket.h"
#include "core/reservation.h"

/* How amounts of a measure are kept. */
struct row_shape {
    int64_t grain_units;
    int64_t span;         /* used is below this */
    int64_t grant_grains; /* in one of granted: grants are whole images or credits */
    int64_t granted_max;  /* Redis's scripts count in doubles */
};
struct row_shape row_shape(enum limit_measure measure);

struct row {
    int64_t number; /* calendar: granted and used; RATE: the TAT, 0: none; IN_FLIGHT: images */
    struct rolling rolling; /* in units */
};

/* What a hold takes from one limit: enough to give any part of it back. */
struct charge {
    struct account_digest subject;
    int64_t amount; /* for all images: grains, microseconds of TAT, or images in flight */
    int64_t
        until_s; /* when the row is of no use any more: the window's end; the end of the segment after its own */
    int64_t segment_s; /* ROLLING, RATE: how long one is; else 0 */
    int64_t slot;      /* ROLLING: the one charged */
    int64_t at_us;     /* RATE: when it was charged */
    uint32_t kind;     /* enum limit_kind; the widths leave no padding */
    uint32_t measure;  /* enum limit_measure */
};

struct charge charge_of(const struct limit *limit, int64_t images, int64_t now_us);
/* Grains that the rule allows, without grants; RATE: microseconds that the TAT may be ahead. */
int64_t limit_allowed(const struct limit *limit);
/* Seconds a segment: so long that nothing older than the segment before matters. */
int64_t limit_segment_s(const struct limit_rule *rule);

static inline int64_t row_used(struct row_shape shape, int64_t number)
{
    return number % shape.span;
}

static inline int64_t row_granted(struct row_shape shape, int64_t number)
{
    return number / shape.span;
}

/* Does the charge fit under the limit? */
bool row_has_room(const struct row *row, const struct limit *limit, const struct charge *charge,
                  int64_t now_us);
/* Charges, beyond the limit if need be; never past what a row can count. */
void row_add(struct row *row, const struct charge *charge, int64_t now_us);
/* Gives back what so many of the hold's images were charged; never below zero, and of a RATE only what has not dripped
 * away since. */
void row_give(struct row *row, const struct charge *charge, int64_t images, int64_t held_images,
              int64_t now_us);

struct quota_change;
/* What an operator says; see quota_change. */
void row_amend(struct row *row, const struct limit *limit, const struct quota_change *change,
               int64_t now_us);

/* How far a change moves the TAT of a RATE; never further than the burst. */
int64_t limit_amend_us(const struct limit *limit, const struct quota_change *change);

/* Fills used, granted and reset of l from its row.  images: what would be asked for next. */
void row_tell(const struct row *row, struct reserved_limit *l, int64_t images, int64_t now_us);
