/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy_cases.c - what the policies that are shipped promise, by the .cases file next to each.
 *
 * A table that names accept_language is about messages, one that names was_c about hysteresis; all others are about
 * requests, and may leave out columns.  The quota store is a few additions here: all limits or none. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "core/admission.h"
#include "core/reservation.h"
#include "unit/cases.h"
#include "unit/config/fixture.h"
#include "unit/core/libc_zone.h"

#define SLOTS       4
#define MAX_WAITING 10

static struct policy policy;

/* --- columns --- */

static const char *text_or(const struct cases *c, const char *name, const char *otherwise)
{
    return cases_has(c, name) ? cases_text(c, name) : otherwise;
}

static struct text said(const struct cases *c, const char *name)
{
    const char *text = text_or(c, name, "-");

    return strcmp(text, "-") == 0 ? TEXT_NONE : text_of(text);
}

static int64_t int_or(const struct cases *c, const char *name, int64_t otherwise)
{
    int64_t value = cases_has(c, name) ? cases_int(c, name) : CASES_NONE;

    return value == CASES_NONE ? otherwise : value;
}

static int tier_of(const struct cases *c)
{
    int tier = policy_tier(&policy, text_of(cases_text(c, "tier")));

    if (tier < 0)
        cases_reject(c, "no such tier");
    return tier;
}

static struct account account_of(const struct cases *c)
{
    struct account account = {.tier = tier_of(c), .team = -1};
    struct text team = said(c, "team");

    if (team.ptr)
        account.team = policy_team(&policy, team);
    if (team.ptr && account.team < 0)
        cases_reject(c, "no such team");
    return account;
}

static struct job job_of(const struct cases *c)
{
    struct job job = {
        .operation = OPERATION_GENERATE,
        .images = cases_int(c, "images"),
        .model = said(c, "model"),
        .quality = said(c, "quality"),
        .steps = int_or(c, "steps", 0),
    };
    struct text size = said(c, "size");
    int width, height;

    if (size.ptr && sscanf(size.ptr, "%dx%d", &width, &height) != 2)
        cases_reject(c, "no size");
    if (size.ptr)
        job.pixels = (int64_t)width * height;
    return job;
}

/* --- load --- */

static void read_temperature(const struct cases *c, const char *name, struct backend_load *b)
{
    b->is_stale = strcmp(cases_text(c, name), "stale") == 0;
    b->temperature_mc = b->is_stale ? LOAD_MISSING : cases_milli(c, name);
}

static void judge(struct backend_load *b, uint32_t before)
{
    b->active_steps = governor_judge(&policy.ladder, before, b->temperature_mc,
                                     load_queue_depth(b, 0, 2), b->is_stale);
}

/* Two backends; cool and free where the table does not speak of them. */
static void read_backends(const struct cases *c, struct backend_load out[2])
{
    for (int i = 0; i < 2; i++)
        out[i] = (struct backend_load){
            .is_up = true,
            .serves = true,
            .max_in_flight = SLOTS,
            .in_flight = SLOTS - (int32_t)int_or(c, "free_slots", SLOTS),
            .temperature_mc = LOAD_MISSING,
            .queue_depth = int_or(c, "queue", 0),
        };
    if (cases_has(c, "hottest_c")) {
        read_temperature(c, "hottest_c", &out[0]);
        read_temperature(c, "coolest_c", &out[1]);
    }
    judge(&out[0], 0);
    judge(&out[1], 0);
}

/* --- a store --- */

#define LABEL_SIZE 32

/* "daily", "model.daily", "team.daily" */
static const char *label(const struct limit_rule *rule, char buf[LABEL_SIZE])
{
    const char *scope = rule->scope == SCOPE_TEAM    ? "team."
                        : rule->scope == SCOPE_MODEL ? "model."
                                                     : "";

    snprintf(buf, LABEL_SIZE, "%s%s", scope, limit_name(rule->kind));
    return buf;
}

/* "59.5" in units. */
static int64_t parse_units(const struct cases *c, struct text t)
{
    char buf[32];
    char *end;

    snprintf(buf, sizeof(buf), "%.*s", TEXT_ARG(t));
    double value = strtod(buf, &end);

    if (end == buf || *end != '\0')
        cases_reject(c, "used");
    return (int64_t)(value * 1000 + 0.5);
}

static int64_t used_before(const struct cases *c, const struct limit_rule *rule)
{
    struct text rest = said(c, "used");
    struct text entry, name;
    char buf[LABEL_SIZE];

    if (cases_has(c, "used_today") && rule->kind == LIMIT_DAY)
        return cases_int(c, "used_today") * 1000;
    while (text_next(&rest, ',', &entry)) {
        struct text value = entry;

        if (text_next(&value, '=', &name) && text_equal(name, text_of(label(rule, buf))))
            return parse_units(c, value);
    }
    return 0;
}

static int64_t allowed(const struct limit_rule *rule)
{
    return rule->kind == LIMIT_RATE ? rule->burst_units : rule->units;
}

/* All or none; the first enforced limit without room refuses. */
static bool reserve(const struct cases *c, struct reservation *r)
{
    for (int i = 0; i < r->limits_len; i++) {
        struct reserved_limit *l = &r->limits[i];
        int64_t charge = r->held_images * l->limit.image_units;

        l->used_units = used_before(c, &l->limit.rule);
        bool has_room = l->used_units + charge <= allowed(&l->limit.rule);

        l->is_over = !has_room && l->limit.rule.is_dry_run;
        if (!has_room && !l->limit.rule.is_dry_run && r->refused_by < 0)
            r->refused_by = i;
    }
    if (r->refused_by >= 0)
        return false;
    for (int i = 0; i < r->limits_len; i++)
        r->limits[i].used_units += r->held_images * r->limits[i].limit.image_units;
    return true;
}

/* --- what came of it --- */

static const char *print_units(int64_t units, char buf[32])
{
    snprintf(buf, 32, "%lld.%03lld", (long long)(units / 1000), (long long)(units % 1000));
    char *end = buf + strlen(buf) - 1;

    while (*end == '0')
        *end-- = '\0';
    if (*end == '.')
        *end = '\0';
    return buf;
}

static void expect_limit(const struct cases *c, const struct reserved_limit *l)
{
    char buf[32];

    cases_expect_text(c, "left", l ? print_units(reserved_limit_left(l), buf) : "-");
    bool ends = l && limit_is_calendar(l->limit.rule.kind);

    cases_expect_text(c, "resets", ends ? libc_zone_print(l->limit.window.end_s, buf) : "-");
}

/* Limits and reasons on trial, with commas between. */
static void expect_trial(const struct cases *c, const struct reservation *r, enum reason reason)
{
    char buf[256];
    char name[LABEL_SIZE];
    struct text_out out;

    if (!cases_has(c, "trial"))
        return;
    text_out_init(&out, buf, sizeof(buf));
    for (int i = 0; r && i < r->limits_len; i++)
        if (r->limits[i].is_over)
            text_out_printf(&out, "%s%s", out.len ? "," : "",
                            label(&r->limits[i].limit.rule, name));
    if (reason != REASON_NONE)
        text_out_printf(&out, "%s%s", out.len ? "," : "", admission_reason_name(reason));
    cases_expect_text(c, "trial", out.len ? buf : "-");
}

static void expect_refusal(const struct cases *c, const struct verdict *v, enum reason trial)
{
    cases_expect_text(c, "answer", v->kind == VERDICT_DENY ? "deny" : "shed");
    cases_expect_text(c, "reason", admission_reason_name(v->reason));
    expect_limit(c, NULL);
    expect_trial(c, NULL, trial);
}

static void check_request(const struct cases *c)
{
    struct account account = account_of(c);
    struct job job = job_of(c);
    struct backend_load backends[2];
    struct load_view view = {.backends = backends, .len = 2, .max_waiting = MAX_WAITING};
    struct terms terms;
    char buf[32], name[LABEL_SIZE];

    read_backends(c, backends);
    policy_terms(&policy, &account, &job, libc_zone_parse(cases_text(c, "local_time")), &terms);
    cr_assert_not(terms.is_over_limits_max);
    struct verdict v = admission_decide(&terms, &job, &view, &policy.ladder, 0);
    enum reason trial = admission_trial(&terms, &job, &view, &policy.ladder);

    if (cases_has(c, "cost"))
        cases_expect_text(c, "cost", print_units(cost_image_units(&policy.prices, &job), buf));
    if (v.kind != VERDICT_ADMIT && v.kind != VERDICT_QUEUE) {
        expect_refusal(c, &v, trial);
        return;
    }
    struct reservation r;

    reservation_init(&r, &account, &terms, job.images, 1);
    bool is_held = reserve(c, &r);
    const char *answer = v.kind == VERDICT_QUEUE ? "queue" : "admit";

    cases_expect_text(c, "answer", is_held ? answer : "spent");
    cases_expect_text(c, "reason",
                      is_held ? "none" : label(&r.limits[r.refused_by].limit.rule, name));
    expect_limit(c, reservation_tightest(&r));
    expect_trial(c, &r, trial);
}

/* All backends were this hot, and now are that hot. */
static void check_hysteresis(const struct cases *c)
{
    struct backend_load b = {.temperature_mc = cases_milli(c, "was_c")};

    judge(&b, 0);
    b.temperature_mc = cases_milli(c, "now_c");
    judge(&b, b.active_steps);
    bool is_closed = governor_closes(&policy.ladder, b.active_steps, tier_of(c)) != NULL;

    cases_expect_text(c, "answer", is_closed ? "shed" : "admit");
}

static void check_row(const struct cases *c)
{
    if (cases_has(c, "accept_language"))
        cases_expect_text(c, "message",
                          policy_message(&policy, text_of(cases_text(c, "accept_language")))->text);
    else if (cases_has(c, "was_c"))
        check_hysteresis(c);
    else
        check_request(c);
}

static void check_policy(const char *name)
{
    struct config_memory *memory = config_memory_new();
    char path[512];
    struct libc_zone zone;
    struct cases c;

    cr_assert_not_null(memory);
    snprintf(path, sizeof(path), "policies/%s.yaml", name);
    cr_assert_eq(policy_load(path, FIXTURE_NOW_S, memory, fixture_error, &policy), ST_OK, "%s",
                 fixture_error);
    libc_zone_use(&zone, policy.timezone);
    snprintf(path, sizeof(path), "policies/%s.cases", name);
    cases_open(&c, path);
    while (cases_next(&c))
        check_row(&c);
    cases_close(&c);
    config_memory_free(&memory);
}

Test(policy_cases, every_policy_keeps_its_promises)
{
    DIR *dir = opendir("policies");
    int len = 0;

    cr_assert_not_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char *ending = strrchr(entry->d_name, '.');

        if (!ending || strcmp(ending, ".yaml") != 0)
            continue;
        *ending = '\0';
        check_policy(entry->d_name);
        len++;
    }
    closedir(dir);
    cr_expect_geq(len, 3);
}
