/* SPDX-License-Identifier: Apache-2.0 */
/* governor.c - the ladder, step by step, for one backend.
 * Between resume_below and above a step stays as it was: so readings that tremble around one number switch nothing. */

#include "core/governor.h"

static bool is_active_now(const struct ladder_step *step, bool was_active, int64_t value)
{
    if (value == LOAD_MISSING)
        return was_active;
    return was_active ? value >= step->resume_below : value > step->above;
}

static bool judge_step(const struct ladder_step *step, bool was_active, int64_t temperature_mc,
                       int64_t queue_depth, bool is_stale)
{
    switch (step->signal) {
    case SIGNAL_NONE:
        return false;
    case SIGNAL_GPU_TEMPERATURE:
        return is_stale || is_active_now(step, was_active, temperature_mc);
    case SIGNAL_QUEUE_DEPTH:
        return is_active_now(step, was_active, queue_depth);
    }
    return false;
}

uint32_t governor_judge(const struct ladder *ladder, uint32_t active_before, int64_t temperature_mc,
                        int64_t queue_depth, bool is_stale)
{
    uint32_t active = 0;

    for (int i = 0; i < ladder->len; i++) {
        uint32_t bit = UINT32_C(1) << i;
        bool was_active = (active_before & bit) != 0;

        if (judge_step(&ladder->steps[i], was_active, temperature_mc, queue_depth, is_stale))
            active |= bit;
    }
    return active;
}

static const struct ladder_step *first_active(const struct ladder *ladder, uint32_t active,
                                              int tier, bool is_dry_run)
{
    ASSERT(tier >= 0 && tier < 32);
    for (int i = 0; i < ladder->len; i++) {
        const struct ladder_step *step = &ladder->steps[i];

        if (step->is_dry_run == is_dry_run && (active >> i & 1) && (step->tiers >> tier & 1))
            return step;
    }
    return NULL;
}

const struct ladder_step *governor_closes(const struct ladder *ladder, uint32_t active, int tier)
{
    return first_active(ladder, active, tier, false);
}

const struct ladder_step *governor_would_close(const struct ladder *ladder, uint32_t active,
                                               int tier)
{
    return first_active(ladder, active, tier, true);
}

bool governor_has_trials(const struct ladder *ladder)
{
    for (int i = 0; i < ladder->len; i++)
        if (ladder->steps[i].is_dry_run)
            return true;
    return false;
}
