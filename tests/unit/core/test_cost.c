/* SPDX-License-Identifier: Apache-2.0 */
/* test_cost.c - what an image costs: by hand, and against an evaluator that thinks in another way. */

#include "core/cost.h"

#include <string.h>

#include <criterion/criterion.h>

#include "unit/core/random.h"

/* The list of the issue. */
static const struct price prices[] = {
    {.model = "dall-e-3", .quality = "hd", .size_class = -1, .units = 4000},
    {.size_class = 2, .units = 2500},
    {.model = "sdxl*", .size_class = -1, .steps_max = 20, .units = 333},
    {.size_class = 0, .units = 500},
};

static const struct price_list list = {
    .classes_len = 3,
    .classes = {{"small", 512 * 512}, {"medium", 1024 * 1024}, {"large", 4096 * 4096}},
    .len = ARRAY_LEN(prices),
    .prices = prices,
};

static int64_t cost(struct job job)
{
    job.operation = OPERATION_GENERATE;
    return cost_image_units(&list, &job);
}

Test(cost, the_first_row_that_fits)
{
    cr_expect_eq(
        cost((struct job){.model = TEXT("dall-e-3"), .quality = TEXT("hd"), .pixels = 4096 * 4096}),
        4000);
    cr_expect_eq(cost((struct job){.model = TEXT("dall-e-3"), .pixels = 4096 * 4096}), 2500);
    cr_expect_eq(cost((struct job){.model = TEXT("sdxl-turbo"), .steps = 20, .pixels = 1}), 333);
    cr_expect_eq(cost((struct job){.model = TEXT("sdxl-turbo"), .steps = 21, .pixels = 1}), 500);
    cr_expect_eq(cost((struct job){.pixels = 512 * 512}), 500);
    cr_expect_eq(cost((struct job){.pixels = 512 * 512 + 1}), 1000, "none fits: one credit");
}

Test(cost, what_cannot_be_read_is_not_cheaper)
{
    cr_expect_eq(cost((struct job){.pixels = 0}), 2500, "an unknown size is the largest");
    cr_expect_eq(cost((struct job){.pixels = INT64_MAX}), 2500);
    cr_expect_eq(cost((struct job){.pixels = -1}), 2500);
    cr_expect_eq(cost((struct job){.model = TEXT("sdxl"), .pixels = 1 << 20}), 1000,
                 "unknown steps fit no row about steps");
    cr_expect_eq(cost((struct job){.model = TEXT("SDXL"), .steps = 1, .pixels = 1 << 20}), 1000);
}

Test(cost, without_a_list_an_image_is_a_credit)
{
    const struct price_list none = {.classes_len = 0};
    const struct job job = {.operation = OPERATION_GENERATE, .images = 4};

    cr_expect_eq(cost_image_units(&none, &job), 1000);
}

Test(cost, a_safe_path_costs_nothing)
{
    const struct job job = {.operation = OPERATION_PASS};

    cr_expect_eq(cost_image_units(&list, &job), 0);
}

Test(cost, the_least_of_any_job)
{
    static const struct price some[] = {
        {.model = "dear-*", .size_class = -1, .units = 9000},
        {.quality = "low", .size_class = -1, .units = 1200},
    };
    static const struct price all[] = {
        {.model = "dear-*", .size_class = -1, .units = 9000},
        {.size_class = -1, .units = 2500},
        {.size_class = 0, .units = 1}, /* never reached */
    };

    cr_expect_eq(cost_least_units(&(struct price_list){.len = 0}), 1000);
    cr_expect_eq(cost_least_units(&(struct price_list){.len = 2, .prices = some}), 1000);
    cr_expect_eq(cost_least_units(&(struct price_list){.len = 3, .prices = all}), 2500);
}

Test(cost, patterns)
{
    cr_expect(cost_name_fits("dall-e-3", TEXT("dall-e-3")));
    cr_expect_not(cost_name_fits("dall-e-3", TEXT("dall-e-30")));
    cr_expect_not(cost_name_fits("dall-e-3", TEXT("dall-e-")));
    cr_expect_not(cost_name_fits("dall-e-3", TEXT_NONE));
    cr_expect(cost_name_fits("dall-e-*", TEXT("dall-e-")));
    cr_expect(cost_name_fits("dall-e-*", TEXT("dall-e-3")));
    cr_expect_not(cost_name_fits("dall-e-*", TEXT("dall-e")));
    cr_expect_not(cost_name_fits("dall-e-*", TEXT("Dall-e-3")));
    cr_expect(cost_name_fits("*", TEXT_NONE));
    cr_expect(cost_name_fits("*", TEXT("x")));
}

/* --- another evaluator: strikes out the rows that do not fit, a field at a time --- */

static const char *const models[] = {NULL, "a", "ab", "a*", "b*", "*", "abc"};
static const char *const qualities[] = {NULL, "hd", "low"};

static bool naive_fits(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);

    if (pattern[len - 1] == '*')
        return strncmp(pattern, name, len - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static int64_t naive(const struct price_list *p, const struct job *job, const char *model,
                     const char *quality)
{
    bool is_out[8] = {false};
    int size = p->classes_len - 1;

    for (int i = p->classes_len - 1; i >= 0; i--)
        if (job->pixels > 0 && p->classes[i].pixels_max >= job->pixels)
            size = i;
    for (int i = 0; i < p->len; i++)
        is_out[i] = p->prices[i].model && !naive_fits(p->prices[i].model, model);
    for (int i = 0; i < p->len; i++)
        is_out[i] |= p->prices[i].quality && strcmp(p->prices[i].quality, quality) != 0;
    for (int i = 0; i < p->len; i++)
        is_out[i] |= p->prices[i].size_class != -1 && p->prices[i].size_class != size;
    for (int i = 0; i < p->len; i++)
        is_out[i] |=
            p->prices[i].steps_max != 0 && (job->steps == 0 || job->steps > p->prices[i].steps_max);
    for (int i = 0; i < p->len; i++)
        if (!is_out[i])
            return p->prices[i].units;
    return 1000;
}

static struct price random_price(uint64_t *state, int classes_len)
{
    return (struct price){
        .model = models[random_next(state) % ARRAY_LEN(models)],
        .quality = qualities[random_next(state) % ARRAY_LEN(qualities)],
        .size_class = (int)random_between(state, -1, classes_len - 1),
        .steps_max = random_between(state, 0, 3),
        .units = random_between(state, 0, 100000),
    };
}

Test(cost, as_a_naive_evaluator)
{
    static const char *const names[] = {"", "a", "ab", "abc", "b", "abcd", "A"};
    uint64_t state = 21;

    for (int n = 0; n < 100000; n++) {
        struct price rows[8];
        struct price_list p = {.classes_len = (int)random_between(&state, 0, SIZE_CLASSES_MAX),
                               .len = (int)random_between(&state, 0, 8),
                               .prices = rows};

        for (int i = 0; i < p.classes_len; i++)
            p.classes[i] = (struct size_class){"c", (i + 1) * 10};
        for (int i = 0; i < p.len; i++)
            rows[i] = random_price(&state, p.classes_len);
        const char *model = names[random_next(&state) % ARRAY_LEN(names)];
        const char *quality = random_next(&state) % 2 ? "hd" : "";
        const struct job job = {.operation = OPERATION_GENERATE,
                                .images = 1,
                                .model = text_of(model),
                                .quality = text_of(quality),
                                .pixels = random_between(&state, 0, 100),
                                .steps = random_between(&state, 0, 4)};

        cr_assert_eq(cost_image_units(&p, &job), naive(&p, &job, model, quality));
    }
}

Test(job, operations_have_words)
{
    cr_expect_str_eq(operation_name(OPERATION_GENERATE), "generate");
    cr_expect_str_eq(operation_name(OPERATION_PASS), "pass");
    cr_expect_str_eq(operation_name(OPERATION_NONE), "none");
}
