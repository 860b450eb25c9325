/* SPDX-License-Identifier: Apache-2.0 */
/* row.h - the integers that both stores keep.
 *
 * A store counts in grains, the smallest amount it tells apart; today a grain is one image credit.  A row is what an
 * account has in one window: granted * 2^24 + used, so that a row without grants is a small integer. */
#pragma once

#include "core/cost.h"

#define GRAIN_UNITS  UNITS_PER_IMAGE
#define ROW_USED_MAX INT64_C(0xffffff)

static inline int64_t grains_of(int64_t units)
{
    ASSERT(units % GRAIN_UNITS == 0);
    return units / GRAIN_UNITS;
}

static inline int64_t units_of(int64_t grains)
{
    return grains * GRAIN_UNITS;
}

static inline int64_t row_used(int64_t row)
{
    return row & ROW_USED_MAX;
}

static inline int64_t row_granted(int64_t row)
{
    return row >> 24;
}

/* May so much more be used under this limit? */
static inline bool row_has_room(int64_t row, int64_t grains, int64_t limit_grains)
{
    return row_used(row) + grains <= MIN(limit_grains + row_granted(row), ROW_USED_MAX);
}

/* Gives back; never below zero. */
static inline int64_t row_less(int64_t row, int64_t grains)
{
    return row - MIN(row_used(row), grains);
}

/* Charges, beyond the limit if need be; never past what a row can count. */
static inline int64_t row_more(int64_t row, int64_t grains)
{
    return row + MIN(ROW_USED_MAX - row_used(row), grains);
}
