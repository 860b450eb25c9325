/* SPDX-License-Identifier: Apache-2.0 */
/* governor.h - the ladder: which tiers a loaded backend is closed to, with hysteresis.
 *
 * Each backend is judged by its own readings.  A step that is active closes that backend to the step's tiers; a tier for
 * which no backend is left is shed.  So a hot GPU is first taken out of the choice, and the ladder sheds when no cool one
 * is left. */
#pragma once

#include "core/load.h"

#define LADDER_STEPS_MAX 16

enum load_signal { SIGNAL_NONE, SIGNAL_GPU_TEMPERATURE, SIGNAL_QUEUE_DEPTH };

struct ladder_step {
    enum load_signal signal;
    int64_t above;        /* active once the value is over this: milli-degrees or jobs */
    int64_t resume_below; /* and until it is under this; < above, or equal */
    uint32_t tiers;       /* bit i: tier i of the policy */
    bool is_dry_run;      /* on trial: judged and logged, and closes nothing */
};

struct ladder {
    int len;
    struct ladder_step steps[LADDER_STEPS_MAX];
};

/* The steps active now (bit i: step i), given those active before and the values now.  A missing temperature keeps a
 * step as it was; is_stale makes every temperature step active. */
uint32_t governor_judge(const struct ladder *ladder, uint32_t active_before, int64_t temperature_mc,
                        int64_t queue_depth, bool is_stale);
/* The first active step that closes the backend to this tier, or NULL.  Steps on trial close nothing. */
const struct ladder_step *governor_closes(const struct ladder *ladder, uint32_t active, int tier);
/* The first active step on trial that would close it, or NULL. */
const struct ladder_step *governor_would_close(const struct ladder *ladder, uint32_t active,
                                               int tier);
/* Is any step on trial? */
bool governor_has_trials(const struct ladder *ladder);
