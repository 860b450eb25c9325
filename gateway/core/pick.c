/* SPDX-License-Identifier: Apache-2.0 */
/* pick.c - which backend gets a job.
 *
 * Bands are measured from the coolest eligible backend, not cut from the scale at 60, 64, 68: so two GPUs a tenth of a
 * degree apart are always equals, and share the load by their slots.  Nothing is remembered between picks; what one pick
 * decides narrowly, the slot it takes turns round for the next. */

#include "core/pick.h"

#define BAND_MC INT64_C(4000)

/* The temperatures of the eligible, as far as they are known. */
struct range {
    bool is_known;
    int64_t coolest_mc;
    int64_t hottest_mc;
};

static bool is_eligible(const struct load_view *view, const struct ladder *ladder, int tier,
                        uint64_t tried, int i)
{
    const struct backend_load *b = &view->backends[i];

    if (!b->is_up || !b->serves || b->in_flight >= b->max_in_flight)
        return false;
    if (tried >> ((unsigned)i % 64) & 1)
        return false;
    return !ladder || b->active_steps == 0 || !governor_closes(ladder, b->active_steps, tier);
}

static void range_add(struct range *range, int64_t temperature_mc)
{
    if (temperature_mc == LOAD_MISSING)
        return;
    range->coolest_mc = range->is_known ? MIN(range->coolest_mc, temperature_mc) : temperature_mc;
    range->hottest_mc = range->is_known ? MAX(range->hottest_mc, temperature_mc) : temperature_mc;
    range->is_known = true;
}

/* Degrees over the coolest; halfway up the range for one that is not known. */
static int64_t excess_mc(const struct range *range, const struct backend_load *b)
{
    if (b->temperature_mc != LOAD_MISSING)
        return b->temperature_mc - range->coolest_mc;
    return range->is_known ? (range->hottest_mc - range->coolest_mc) / 2 : 0;
}

static bool is_better(const struct range *range, const struct backend_load *a,
                      const struct backend_load *b)
{
    int64_t a_band = excess_mc(range, a) / BAND_MC;
    int64_t b_band = excess_mc(range, b) / BAND_MC;
    if (a_band != b_band)
        return a_band < b_band;

    /* in_flight / max_in_flight, both multiplied out */
    int64_t a_share = (int64_t)a->in_flight * b->max_in_flight;
    int64_t b_share = (int64_t)b->in_flight * a->max_in_flight;
    if (a_share != b_share)
        return a_share < b_share;

    return excess_mc(range, a) < excess_mc(range, b);
}

int pick_backend(const struct load_view *view, const struct ladder *ladder, int tier,
                 uint64_t tried, uint32_t rotation)
{
    struct range range = {.is_known = false};
    int eligible = 0;
    int last = -1;
    int best = -1;

    for (int i = 0; i < view->len; i++) {
        if (!is_eligible(view, ladder, tier, tried, i))
            continue;
        range_add(&range, view->backends[i].temperature_mc);
        eligible++;
        last = i;
    }
    if (eligible <= 1)
        return last;
    for (int k = 0; k < view->len; k++) {
        int i = (int)((rotation + (int64_t)k) % view->len);

        if (!is_eligible(view, ladder, tier, tried, i))
            continue;
        if (best < 0 || is_better(&range, &view->backends[i], &view->backends[best]))
            best = i;
    }
    return best;
}
