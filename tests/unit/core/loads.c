/* SPDX-License-Identifier: Apache-2.0 */
/* loads.c - reads what loads.h describes. */

#include "unit/core/loads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONLY_FREE (1u << TIER_FREE)
#define ALL_TIERS ((1u << TIERS_LEN) - 1)

static const char *const step_names[] = {"T1", "T2", "Q1", "Q2"};

const struct ladder loads_ladder = {
    .len = 4,
    .steps =
        {
            {SIGNAL_GPU_TEMPERATURE, 80000, 76000, ONLY_FREE, false},
            {SIGNAL_GPU_TEMPERATURE, 86000, 80000, ALL_TIERS, false},
            {SIGNAL_QUEUE_DEPTH, 32, 24, ONLY_FREE, false},
            {SIGNAL_QUEUE_DEPTH, 128, 96, ALL_TIERS, false},
        },
};

int loads_tier(const struct cases *c)
{
    const char *name = cases_text(c, "tier");

    if (strcmp(name, "free") == 0)
        return TIER_FREE;
    if (strcmp(name, "plus") == 0)
        return TIER_PLUS;
    cases_reject(c, "no such tier");
}

uint32_t loads_parse_steps(const struct cases *c, const char *name)
{
    char text[CASES_LINE_MAX];
    char *rest = NULL;
    uint32_t active = 0;

    snprintf(text, sizeof(text), "%s", cases_text(c, name));
    if (strcmp(text, "-") == 0)
        return 0;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;

        while (i < ARRAY_LEN(step_names) && strcmp(word, step_names[i]) != 0)
            i++;
        if (i == ARRAY_LEN(step_names))
            cases_reject(c, "no such step");
        active |= 1u << i;
    }
    return active;
}

const char *loads_print_steps(uint32_t active, char buf[16])
{
    size_t len = 0;

    snprintf(buf, 16, "-");
    for (size_t i = 0; i < ARRAY_LEN(step_names); i++)
        if (active >> i & 1)
            len += (size_t)snprintf(buf + len, 16 - len, "%s%s", len ? "," : "", step_names[i]);
    return buf;
}

/* The rest of "61:1/4q40" after the temperature. */
static void parse_slots(const struct cases *c, const char *text, struct backend_load *out)
{
    int end = 0;
    int queue = 0;

    if (sscanf(text, ":%d/%d%n", &out->in_flight, &out->max_in_flight, &end) != 2)
        cases_reject(c, text);
    if (text[end] == '\0')
        return;
    if (sscanf(text + end, "q%d", &queue) != 1)
        cases_reject(c, text);
    out->queue_depth = queue;
}

static void parse_one(const struct cases *c, const char *word, struct backend_load *out)
{
    *out = (struct backend_load){
        .is_up = strcmp(word, "down") != 0,
        .serves = strcmp(word, "other") != 0,
        .is_stale = strncmp(word, "stale", strlen("stale")) == 0,
        .temperature_mc = LOAD_MISSING,
        .queue_depth = LOAD_MISSING,
        .max_in_flight = 4,
    };
    if (!out->is_up || !out->serves)
        return;
    if (*word != '-' && !out->is_stale)
        out->temperature_mc = (int64_t)(strtod(word, NULL) * 1000);
    const char *slots = strchr(word, ':');

    if (!slots)
        cases_reject(c, word);
    parse_slots(c, slots, out);
}

int loads_parse(const struct cases *c, struct backend_load out[LOADS_MAX])
{
    char text[CASES_LINE_MAX];
    char *rest = NULL;
    int len = 0;

    snprintf(text, sizeof(text), "%s", cases_text(c, "backends"));
    if (strcmp(text, "none") == 0)
        return 0;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        struct backend_load *b = &out[len++];

        if (len > LOADS_MAX)
            cases_reject(c, "too many backends");
        parse_one(c, word, b);
        b->active_steps = governor_judge(&loads_ladder, 0, b->temperature_mc,
                                         load_queue_depth(b, 0, 1), b->is_stale);
    }
    return len;
}
