/* SPDX-License-Identifier: Apache-2.0 */
/* admission.c - the heart.  Asks its questions in the order of admission.h; the first "no" is the verdict.  That a slot is
 * free is asked before what is true of no backend then, as nearly every job is admitted.
 *
 * No backend is chosen here, and no slot taken: between this verdict and the dispatch the world may change, and the
 * dispatch looks again. */

#include "core/admission.h"

#define RETRY_AFTER_MAX_S UINT32_C(60)

/* The backends, seen by one request that none may take at once. */
struct survey {
    bool is_any_up;
    bool is_any_open;                   /* up, and open to the tier */
    const struct backend_load *nearest; /* of those up but closed: the one likely to open first */
    enum reason nearest_reason;
};

/* The steps that are asked: those that count, or those on trial as well. */
struct steps {
    const struct ladder *ladder; /* NULL: none */
    bool has_trials;
};

static bool is_closed(const struct steps *steps, const struct backend_load *b, int tier)
{
    if (!steps->ladder || b->active_steps == 0)
        return false;
    return governor_closes(steps->ladder, b->active_steps, tier) ||
           (steps->has_trials && governor_would_close(steps->ladder, b->active_steps, tier));
}

static bool closes_by(const struct steps *steps, const struct backend_load *b, int tier,
                      enum load_signal signal)
{
    for (int i = 0; i < steps->ladder->len; i++) {
        const struct ladder_step *step = &steps->ladder->steps[i];

        if (step->is_dry_run && !steps->has_trials)
            continue;
        if (step->signal == signal && (b->active_steps >> i & 1) && (step->tiers >> tier & 1))
            return true;
    }
    return false;
}

/* Why a closed backend is closed. */
static enum reason closed_reason(const struct steps *steps, const struct backend_load *b, int tier)
{
    if (!closes_by(steps, b, tier, SIGNAL_GPU_TEMPERATURE))
        return REASON_QUEUE_DEPTH;
    return b->is_stale ? REASON_TELEMETRY_STALE : REASON_GPU_TEMPERATURE;
}

/* Is a nearer to opening than b?  One that cannot be read is the farthest; else the cooler, then the less loaded. */
static bool is_nearer(const struct backend_load *a, const struct backend_load *b)
{
    if (a->is_stale != b->is_stale)
        return b->is_stale;

    bool has_a = a->temperature_mc != LOAD_MISSING;
    bool has_b = b->temperature_mc != LOAD_MISSING;
    if (has_a != has_b)
        return has_a;
    if (a->temperature_mc != b->temperature_mc)
        return a->temperature_mc < b->temperature_mc;
    return (int64_t)a->in_flight * b->max_in_flight < (int64_t)b->in_flight * a->max_in_flight;
}

static void survey_closed(struct survey *survey, const struct backend_load *b, enum reason reason)
{
    if (survey->nearest && !is_nearer(b, survey->nearest))
        return;
    survey->nearest = b;
    survey->nearest_reason = reason;
}

static struct survey survey_backends(const struct load_view *view, const struct steps *steps,
                                     int tier)
{
    struct survey survey = {.is_any_up = false};

    for (int i = 0; i < view->len; i++) {
        const struct backend_load *b = &view->backends[i];

        if (!b->is_up || !b->serves)
            continue;
        survey.is_any_up = true;
        if (is_closed(steps, b, tier)) {
            survey_closed(&survey, b, closed_reason(steps, b, tier));
            continue;
        }
        survey.is_any_open = true;
    }
    return survey;
}

/* Is one up and open, with a free slot? */
static bool is_any_free(const struct load_view *view, const struct steps *steps, int tier)
{
    for (int i = 0; i < view->len; i++) {
        const struct backend_load *b = &view->backends[i];

        if (b->is_up && b->serves && b->in_flight < b->max_in_flight && !is_closed(steps, b, tier))
            return true;
    }
    return false;
}

static struct verdict shed(enum reason reason, uint32_t jitter)
{
    return (struct verdict){VERDICT_SHED, reason, admission_retry_after_s(reason, jitter)};
}

struct verdict admission_decide(const struct terms *terms, const struct job *job,
                                const struct load_view *view, const struct ladder *ladder,
                                uint32_t jitter)
{
    bool is_counted = job->operation != OPERATION_PASS;

    if (is_counted && job->images > terms->max_images_per_request)
        return (struct verdict){VERDICT_DENY, REASON_TOO_MANY_IMAGES, 0};
    if (view->is_draining)
        return shed(REASON_DRAINING, jitter);

    const struct steps steps = {is_counted ? ladder : NULL, false};

    if (is_any_free(view, &steps, terms->tier))
        return (struct verdict){VERDICT_ADMIT, REASON_NONE, 0};

    struct survey survey = survey_backends(view, &steps, terms->tier);

    if (!survey.is_any_up)
        return shed(REASON_NO_BACKEND, jitter);
    if (!survey.is_any_open)
        return shed(survey.nearest_reason, jitter);
    if (terms->max_wait_ms <= 0)
        return shed(REASON_BUSY, jitter);
    if (view->waiting >= view->max_waiting)
        return shed(REASON_QUEUE_FULL, jitter);
    return (struct verdict){VERDICT_QUEUE, REASON_NONE, 0};
}

enum reason admission_trial(const struct terms *terms, const struct job *job,
                            const struct load_view *view, const struct ladder *ladder)
{
    if (job->operation == OPERATION_PASS)
        return REASON_NONE;

    const struct steps steps = {ladder, true};
    struct survey survey = survey_backends(view, &steps, terms->tier);

    return survey.is_any_up && !survey.is_any_open ? survey.nearest_reason : REASON_NONE;
}

const char *admission_verdict_name(enum verdict_kind kind)
{
    static const char *const names[] = {
#define X(name, word) [VERDICT_##name] = (word),
        VERDICT_TABLE(X)
#undef X
    };

    ASSERT((size_t)kind < ARRAY_LEN(names));
    return names[kind];
}

const char *admission_reason_name(enum reason reason)
{
    static const char *const names[] = {
#define X(name, word, retry_s) [REASON_##name] = (word),
        REASON_TABLE(X)
#undef X
    };

    ASSERT((size_t)reason < ARRAY_LEN(names));
    return names[reason];
}

int admission_retry_after_s(enum reason reason, uint32_t jitter)
{
    static const uint32_t base_s[] = {
#define X(name, word, retry_s) [REASON_##name] = (retry_s),
        REASON_TABLE(X)
#undef X
    };

    ASSERT((size_t)reason < ARRAY_LEN(base_s));
    return (int)MIN(base_s[reason] + jitter % (base_s[reason] + 1), RETRY_AFTER_MAX_S);
}
