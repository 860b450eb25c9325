/* SPDX-License-Identifier: Apache-2.0 */
/* test_admission.c - verdicts by table, and how long a shed client is told to stay away. */

#include "core/admission.h"

#include <string.h>

#include <criterion/criterion.h>

#include "unit/core/loads.h"
#include "unit/core/random.h"

#define REASONS_LEN ((int)REASON_QUEUE_FULL + 1)

static struct terms terms_of(const struct cases *c)
{
    return (struct terms){
        .tier = loads_tier(c),
        .max_images_per_request = cases_int(c, "max"),
        .max_wait_ms = cases_is_yes(c, "waits") ? 30000 : 0,
    };
}

static struct job job_of(const struct cases *c)
{
    const char *op = cases_text(c, "op");

    return (struct job){
        .operation = strcmp(op, "pass") == 0 ? OPERATION_PASS : OPERATION_GENERATE,
        .images = cases_int(c, "images"),
    };
}

Test(admission, table)
{
    struct cases c;

    cases_open(&c, "tests/unit/core/admission.cases");
    while (cases_next(&c)) {
        struct backend_load backends[LOADS_MAX];
        struct load_view view = {
            .backends = backends,
            .len = loads_parse(&c, backends),
            .waiting = (int32_t)cases_int(&c, "waiting"),
            .max_waiting = 10,
            .is_draining = cases_is_yes(&c, "draining"),
        };
        struct terms terms = terms_of(&c);
        struct job job = job_of(&c);
        struct verdict v = admission_decide(&terms, &job, &view, &loads_ladder, 7);

        cases_expect_text(&c, "verdict", admission_verdict_name(v.kind));
        cases_expect_text(&c, "reason", admission_reason_name(v.reason));
        int retry_after_s = v.kind == VERDICT_SHED ? admission_retry_after_s(v.reason, 7) : 0;

        cr_expect_eq(v.retry_after_s, retry_after_s, "%s:%d: retry_after_s", c.path, c.line);
    }
    cases_close(&c);
}

Test(admission, retry_after_stays_within_1_and_60)
{
    uint64_t state = 1;

    for (int reason = 0; reason < REASONS_LEN; reason++) {
        for (int i = 0; i < 1000; i++) {
            int s = admission_retry_after_s((enum reason)reason, (uint32_t)random_next(&state));

            cr_assert(s >= 1 && s <= 60, "%s: %d", admission_reason_name((enum reason)reason), s);
        }
        int last = admission_retry_after_s((enum reason)reason, UINT32_MAX);

        cr_assert(last >= 1 && last <= 60);
    }
}

Test(admission, retry_after_is_spread_from_a_base_to_twice_that)
{
    int lowest = 60;
    int highest = 0;

    for (uint32_t jitter = 0; jitter < 100; jitter++) {
        int s = admission_retry_after_s(REASON_GPU_TEMPERATURE, jitter);

        lowest = MIN(lowest, s);
        highest = MAX(highest, s);
    }
    cr_expect_eq(lowest, 30);
    cr_expect_eq(highest, 60);
}

Test(admission, every_reason_has_its_own_word)
{
    for (int a = 0; a < REASONS_LEN; a++)
        for (int b = 0; b < a; b++)
            cr_expect_str_neq(admission_reason_name((enum reason)a),
                              admission_reason_name((enum reason)b));
}

/* A ladder without steps closes nothing, however hot. */
Test(admission, no_ladder_no_shedding)
{
    static const struct ladder empty = {.len = 0};
    const struct backend_load hot = {.is_up = true,
                                     .serves = true,
                                     .max_in_flight = 1,
                                     .temperature_mc = 120000,
                                     .queue_depth = 10000};
    const struct load_view view = {.backends = &hot, .len = 1};
    const struct terms terms = {.max_images_per_request = 1};
    const struct job job = {.operation = OPERATION_GENERATE, .images = 1};

    cr_expect_eq(admission_decide(&terms, &job, &view, &empty, 0).kind, VERDICT_ADMIT);
}
