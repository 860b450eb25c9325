/* SPDX-License-Identifier: Apache-2.0 */
/* quota_verbs.c - meltctl quota show, grant, set, reset, top, service: the admin API, for people and scripts. */
#include <stdlib.h>

#include "ctl/talk.h"

static const struct column limit_columns[] = {
    {"name", "LIMIT", false}, {"scope", "WHOSE", false},   {"measure", "MEASURE", false},
    {"used", "USED", true},   {"limit", "ALLOWED", true},  {"granted", "GRANTED", true},
    {"left", "LEFT", true},   {"resets", "RESETS", false},
};

static const struct column top_columns[] = {
    {"account", "ACCOUNT", false},    {"tier", "TIER", false},         {"team", "TEAM", false},
    {"images", "IMAGES TODAY", true}, {"error", "AT MOST LESS", true},
};

static const struct column service_columns[] = {
    {"name", "LIMIT", false}, {"limit", "ALLOWED", true},   {"leased", "LEASED", true},
    {"here", "HERE", true},   {"in_hand", "IN HAND", true}, {"resets", "RESETS", false},
};

static int print_quota(struct text json)
{
    char *account = rows_member(json, "account");
    char *tier = rows_member(json, "tier");
    char *team = rows_member(json, "team");

    printf("%s, tier %s", account ? account : "", tier ? tier : "");
    if (team && *team)
        printf(", team %s", team);
    putchar('\n');
    free(account);
    free(tier);
    free(team);
    return talk_print_rows(json, "limits", limit_columns, ARRAY_LEN(limit_columns));
}

static void begin_target(struct text_out *out, char *buf, size_t size, const struct ctl *ctl,
                         const char *change)
{
    text_out_init(out, buf, size);
    text_out_add(out, TEXT("/v1/accounts/"));
    call_encode(out, text_of(ctl->object));
    text_out_add(out, TEXT("/quota"));
    text_out_add(out, text_of(change));
}

int quota_show(const struct ctl *ctl)
{
    const struct {
        const char *name, *value;
    } parts[] = {{"tier", ctl->tier}, {"team", ctl->team}, {"model", ctl->model}};
    char target[2048];
    char before = '?';
    struct text_out out;
    struct call_answer answer;

    begin_target(&out, target, sizeof(target), ctl, "");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!parts[i].value)
            continue;
        talk_add_query(&out, before, parts[i].name, parts[i].value);
        before = '&';
    }
    if (out.is_full)
        return ctl_fail(EXIT_USAGE, "the names are too long");
    int code = call_api(ctl, "GET", target, TEXT_NONE, &answer);
    return code ? code : talk_finish(ctl, &answer, print_quota);
}

static int change(const struct ctl *ctl, const char *verb)
{
    char target[1024], body[4096];
    struct text_out out, json;
    struct call_answer answer;

    begin_target(&out, target, sizeof(target), ctl, verb);
    text_out_init(&json, body, sizeof(body));
    text_out_char(&json, '{');
    talk_add_member(&json, "images", ctl->images, true);
    talk_add_member(&json, "credits", ctl->credits, true);
    talk_add_member(&json, "until", ctl->until, false);
    talk_add_member(&json, "limit", ctl->limit, false);
    talk_add_member(&json, "scope", ctl->scope, false);
    talk_add_member(&json, "tier", ctl->tier, false);
    talk_add_member(&json, "team", ctl->team, false);
    talk_add_member(&json, "model", ctl->model, false);
    talk_add_member(&json, "id", ctl->id, false);
    text_out_char(&json, '}');
    if (out.is_full || json.is_full)
        return ctl_fail(EXIT_USAGE, "the names are too long");
    int code = call_api(ctl, "POST", target, text_out_text(&json), &answer);
    return code ? code : talk_finish(ctl, &answer, print_quota);
}

int quota_grant(const struct ctl *ctl)
{
    return change(ctl, "/grant");
}

int quota_set(const struct ctl *ctl)
{
    return change(ctl, "/set");
}

int quota_reset(const struct ctl *ctl)
{
    return change(ctl, "/reset");
}

static int print_top(struct text json)
{
    char *gateways = rows_member(json, "gateways");
    char *is_whole = rows_member(json, "is_whole");

    if (is_whole && text_equal(text_of(is_whole), TEXT("yes")))
        printf("by %s gateway%s\n", gateways, text_equal(text_of(gateways), TEXT("1")) ? "" : "s");
    else
        puts("by this gateway alone: the quota store could not be asked for the others");
    free(gateways);
    free(is_whole);
    return talk_print_rows(json, "accounts", top_columns, ARRAY_LEN(top_columns));
}

int quota_top(const struct ctl *ctl)
{
    char target[128];
    struct text_out out;
    struct call_answer answer;

    text_out_init(&out, target, sizeof(target));
    text_out_add(&out, TEXT("/v1/quota/top"));
    if (ctl->n)
        talk_add_query(&out, '?', "n", ctl->n);
    if (out.is_full)
        return ctl_fail(EXIT_USAGE, "%s is no number of accounts", ctl->n);
    int code = call_api(ctl, "GET", target, TEXT_NONE, &answer);
    return code ? code : talk_finish(ctl, &answer, print_top);
}

static int print_service(struct text json)
{
    return talk_print_rows(json, "limits", service_columns, ARRAY_LEN(service_columns));
}

int quota_service(const struct ctl *ctl)
{
    struct call_answer answer;
    int code = call_api(ctl, "GET", "/v1/quota/service", TEXT_NONE, &answer);

    return code ? code : talk_finish(ctl, &answer, print_service);
}
