/* SPDX-License-Identifier: Apache-2.0 */
/* api_print.c - answers of the API, as JSON.      Runs on: control thread.  Pure. */
#include "admin/api_ask.h"

/* More than a limit or entry takes; only a name of the configuration could be longer. */
#define ENTRY_BYTES 2048

const char *api_scope_name(enum limit_scope scope)
{
    static const char *const names[] = {"none", "account", "model", "team"};

    return names[scope];
}

const char *api_measure_name(enum limit_measure measure)
{
    static const char *const names[] = {"none", "images", "credits"};

    return names[measure];
}

/* 2500 => 2.5 */
static void add_units(struct text_out *out, int64_t units)
{
    int64_t whole = units / UNITS_PER_IMAGE;
    int64_t rest = units % UNITS_PER_IMAGE;

    if (units < 0) {
        text_out_char(out, '-');
        whole = -whole;
        rest = -rest;
    }
    text_out_int(out, whole);
    if (rest == 0)
        return;
    int decimals = 3;
    for (; rest % 10 == 0; rest /= 10)
        decimals--;
    text_out_printf(out, ".%0*lld", decimals, (long long)rest);
}

static void add_units_member(struct text_out *out, const char *name, int64_t units)
{
    text_out_printf(out, ",\"%s\":", name);
    add_units(out, units);
}

/* Quoted, as RFC 3339 writes it, rounded up to a second; null for 0. */
static void add_time(struct text_out *out, int64_t us)
{
    if (us <= 0) {
        text_out_add(out, TEXT("null"));
        return;
    }
    text_out_char(out, '"');
    text_out_time(out, (us + 999999) / 1000000);
    text_out_add(out, TEXT("Z\""));
}

/* What may be used at once, and so what is left to use: a rate's burst. */
static int64_t ceiling_units(const struct limit_rule *rule)
{
    return rule->kind == LIMIT_RATE ? rule->burst_units : rule->units;
}

static void add_limit(struct text_out *out, const struct reserved_limit *l)
{
    const struct limit_rule *rule = &l->limit.rule;
    int64_t left = ceiling_units(rule) + l->granted_units - l->used_units;

    text_out_printf(out, "{\"name\":\"%s\",\"scope\":\"%s\",\"measure\":\"%s\"",
                    limit_name(rule->kind), api_scope_name(rule->scope),
                    api_measure_name(rule->measure));
    add_units_member(out, "limit", ceiling_units(rule));
    add_units_member(out, "granted", l->granted_units);
    add_units_member(out, "used", l->used_units);
    add_units_member(out, "left", MAX(left, 0));
    text_out_add(out, TEXT(",\"resets\":"));
    add_time(out, l->reset_us);
    if (rule->period_us)
        text_out_printf(out, ",\"period_s\":%lld", (long long)(rule->period_us / 1000000));
    if (rule->kind == LIMIT_RATE)
        add_units_member(out, "per_period", rule->units);
    if (rule->model) {
        text_out_add(out, TEXT(",\"model\":"));
        api_add_string(out, rule->model);
    }
    text_out_printf(out, ",\"is_dry_run\":%s}", rule->is_dry_run ? "true" : "false");
}

void api_print_quota(struct admin_answer *out, const struct policy *policy,
                     const struct account *account, const struct reservation *r)
{
    struct text_out text;

    if (!api_answer_begin(out, &text, ENTRY_BYTES * ((size_t)r->limits_len + 1)))
        return;
    text_out_add(&text, TEXT("{\"account\":"));
    api_add_string(&text, account->id);
    text_out_add(&text, TEXT(",\"tier\":"));
    api_add_string(&text, policy->tiers[account->tier].name);
    text_out_add(&text, TEXT(",\"team\":"));
    api_add_string(&text, account->team >= 0 ? policy->teams[account->team].name : NULL);
    text_out_add(&text, TEXT(",\"limits\":["));
    for (int i = 0; i < r->limits_len; i++) {
        if (i > 0)
            text_out_char(&text, ',');
        add_limit(&text, &r->limits[i]);
    }
    text_out_add(&text, TEXT("]}"));
    api_answer_end(out, &text);
}

static void add_top_entry(struct text_out *out, const struct policy *policy, int generation,
                          const struct top_entry *entry)
{
    bool is_present = entry->generation == generation;

    text_out_add(out, TEXT("{\"account\":"));
    api_add_string(out, entry->account.id);
    text_out_add(out, TEXT(",\"tier\":"));
    api_add_string(out, is_present ? policy->tiers[entry->account.tier].name : NULL);
    text_out_add(out, TEXT(",\"team\":"));
    api_add_string(out, is_present && entry->account.team >= 0
                            ? policy->teams[entry->account.team].name
                            : NULL);
    text_out_printf(out, ",\"images\":%lld,\"error\":%lld}", (long long)entry->images,
                    (long long)entry->error);
}

void api_print_top(struct admin_answer *out, const struct policy *policy, int generation,
                   const struct board_list *board)
{
    const struct top_list *list = &board->list;
    struct text_out text;

    if (!api_answer_begin(out, &text, ENTRY_BYTES * ((size_t)list->len + 1)))
        return;
    text_out_printf(&text, "{\"gateways\":%d,\"is_whole\":%s,\"accounts\":[", board->gateways,
                    board->is_whole ? "true" : "false");
    for (int i = 0; i < list->len; i++) {
        if (i > 0)
            text_out_char(&text, ',');
        add_top_entry(&text, policy, generation, &list->entries[i]);
    }
    text_out_add(&text, TEXT("]}"));
    api_answer_end(out, &text);
}

static void add_service_limit(struct text_out *out, const struct api_service_limit *l)
{
    const struct service_rule *rule = &l->claim.rule;

    text_out_printf(out, "{\"name\":\"%s\"", service_row_name(service_row(rule)));
    add_units_member(out, "limit", rule->units);
    add_units_member(out, "leased", l->claim.leased_units);
    add_units_member(out, "here", l->here_units);
    add_units_member(out, "in_hand", l->in_hand_units);
    text_out_add(out, TEXT(",\"resets\":"));
    add_time(out, l->claim.window.end_s * 1000000);
    text_out_printf(out, ",\"is_dry_run\":%s}", rule->is_dry_run ? "true" : "false");
}

void api_print_service(struct admin_answer *out, const struct api_service_limit *limits, int len)
{
    struct text_out text;

    if (!api_answer_begin(out, &text, ENTRY_BYTES * ((size_t)len + 1)))
        return;
    text_out_add(&text, TEXT("{\"limits\":["));
    for (int i = 0; i < len; i++) {
        if (i > 0)
            text_out_char(&text, ',');
        add_service_limit(&text, &limits[i]);
    }
    text_out_add(&text, TEXT("]}"));
    api_answer_end(out, &text);
}
