/* SPDX-License-Identifier: Apache-2.0 */
/* test_api.c - the API on a scripted quota store: at once, later, cancelled, down; and all that is refused before it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api.h"

#define WORKERS 2

static struct loop *loop;
static struct mailbox *boxes[WORKERS];
static struct top *top;
static struct board *board;
static struct api *api;
static struct config config;
static struct key_entry keys[1];
static struct zone_offset utc = {.offset_s = 0};

/* The store: what it was asked last, how it answers, and whom it keeps waiting. */
static struct {
    struct quota quota;
    enum status answer; /* ST_PENDING: later */
    struct op *waiting;
    int inspects, amends, cancels;
    struct quota_change change;
    struct reservation asked;
    int64_t used_units;
    enum status board; /* how it answers those who read one */
} store;

static void on_cancel(struct op *op)
{
    UNUSED(op);
    store.cancels++;
    store.waiting = NULL;
}

static enum status reply(struct op *op)
{
    if (store.answer != ST_PENDING)
        return store.answer;
    store.waiting = op;
    op->cancel = on_cancel;
    return ST_PENDING;
}

static enum status inspect(struct quota *q, struct reservation *r, struct op *op)
{
    cr_assert_eq(q, &store.quota);
    store.inspects++;
    for (int i = 0; i < r->limits_len; i++) {
        r->limits[i].used_units = store.used_units;
        r->limits[i].granted_units = 2000;
        r->limits[i].reset_us = INT64_C(1795305600000000);
    }
    return reply(op);
}

static enum status amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op)
{
    cr_assert_eq(q, &store.quota);
    store.amends++;
    store.change = *change;
    store.asked = *r;
    return reply(op);
}

static enum status read_board(struct quota *q, struct quota_reading *reading, struct op *waits)
{
    UNUSED(q);
    UNUSED(reading);
    UNUSED(waits);
    return store.board;
}

static const struct quota_ops ops = {
    .name = "scripted", .inspect = inspect, .amend = amend, .read_board = read_board};

/* --- the rig --- */

static struct admin_answer answer;
static struct op op;
static int dones;
static enum status ended;

static void on_done(struct op *done, enum status st)
{
    cr_assert_eq(done, &op);
    dones++;
    ended = st;
}

static void make_policy(void)
{
    struct policy *policy = &config.policy;
    struct tier *free_tier = &policy->tiers[0];

    policy->zone = (struct zone){1, &utc};
    policy->tiers_len = 2;
    *free_tier = (struct tier){.name = "free", .max_images_per_request = 4, .rules_len = 3};
    free_tier->rules[0] =
        (struct limit_rule){LIMIT_DAY, SCOPE_ACCOUNT, MEASURE_IMAGES, 3000, 0, 0, NULL, false};
    free_tier->rules[1] = (struct limit_rule){LIMIT_RATE, SCOPE_ACCOUNT, MEASURE_IMAGES, 2000,
                                              60000000,   3000,          NULL,           false};
    free_tier->rules[2] =
        (struct limit_rule){LIMIT_MONTH, SCOPE_ACCOUNT, MEASURE_CREDITS, 2500, 0, 0, NULL, true};
    policy->tiers[1] = (struct tier){.name = "plus", .index = 1, .max_images_per_request = 4};
}

static void begin(void)
{
    memset(&config, 0, sizeof(config));
    memset(&store, 0, sizeof(store));
    memset(&answer, 0, sizeof(answer));
    atomic_init(&config.refs, 100); /* never freed */
    config.generation = 5;
    make_policy();
    keys[0] = (struct key_entry){.account = "alice", .tier = 0, .team = -1};
    config.identity_len = 1;
    config.identity[0] =
        (struct identity_source){.kind = IDENTITY_KEYFILE, .keys = keys, .keys_len = 1};
    dones = 0;
    op = (struct op){.done = on_done};
    cr_assert_eq(loop_new(&loop), ST_OK);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(mailbox_new(loop, &boxes[i]), ST_OK);
    cr_assert_eq(top_open(loop, boxes, WORKERS, &top), ST_OK);
    store.quota.ops = &ops;
    store.quota.loop = loop;
    struct board_terms board_terms = {loop, &store.quota, top, &config};
    cr_assert_eq(board_open(&board_terms, &board), ST_OK);
    struct api_terms terms = {loop, &store.quota, top, board, &config};
    cr_assert_eq(api_open(&terms, &api), ST_OK);
}

static void end(void)
{
    api_close(&api);
    board_close(&board);
    for (int i = 0; i < WORKERS; i++)
        mailbox_free(&boxes[i]);
    top_close(&top);
    loop_free(&loop);
    free(answer.body);
}

TestSuite(api, .init = begin, .fini = end);

static void turns(void)
{
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 0);
}

/* Asks, and lets the loop turn; true: it is answered. */
static bool ask(const char *path, const char *param, const char *query, const char *body)
{
    enum http_method method = body ? METHOD_POST : METHOD_GET;
    struct admin_ask asked = {method, text_of(param), text_of(query), text_of(body ? body : "")};

    free(answer.body);
    answer = (struct admin_answer){.status = 200};
    dones = 0;
    for (const struct admin_route *route = api_routes; route->path; route++) {
        if (strcmp(route->path, path) != 0)
            continue;
        cr_assert_eq(route->method, method);
        enum status st = route->answer(api, &asked, &answer, &op);
        if (st == ST_PENDING) {
            turns();
            return dones == 1;
        }
        ended = st;
        return true;
    }
    cr_assert(false, "no route %s", path);
    return false;
}

static void expect(int status, const char *body)
{
    cr_assert_eq(ended, ST_OK);
    cr_expect_eq(answer.status, status, "%d: %s", answer.status, answer.body);
    cr_expect_str_eq(answer.body, body);
    cr_expect_eq(answer.body_len, strlen(body));
}

static void expect_error(int status, const char *part)
{
    cr_assert_eq(ended, ST_OK);
    cr_expect_eq(answer.status, status, "%d: %s", answer.status, answer.body);
    cr_expect_not_null(strstr(answer.body, part), "%s", answer.body);
}

#define SHOW  "/v1/accounts/*/quota"
#define GRANT "/v1/accounts/*/quota/grant"
#define SET   "/v1/accounts/*/quota/set"
#define RESET "/v1/accounts/*/quota/reset"

#define ALICE                                                                                      \
    "{\"account\":\"alice\",\"tier\":\"free\",\"team\":null,\"limits\":["                          \
    "{\"name\":\"daily\",\"scope\":\"account\",\"measure\":\"images\",\"limit\":3,\"granted\":2,"  \
    "\"used\":1.5,\"left\":3.5,\"resets\":\"2026-11-22T00:00:00Z\",\"is_dry_run\":false},"         \
    "{\"name\":\"rate\",\"scope\":\"account\",\"measure\":\"images\",\"limit\":3,\"granted\":2,"   \
    "\"used\":1.5,\"left\":3.5,\"resets\":\"2026-11-22T00:00:00Z\",\"period_s\":60,"               \
    "\"per_period\":2,\"is_dry_run\":false},"                                                      \
    "{\"name\":\"monthly\",\"scope\":\"account\",\"measure\":\"credits\",\"limit\":2.5,"           \
    "\"granted\":2,\"used\":1.5,\"left\":3,\"resets\":\"2026-11-22T00:00:00Z\","                   \
    "\"is_dry_run\":true}]}\n"

/* --- show --- */

Test(api, shows_at_once)
{
    store.used_units = 1500;
    cr_assert(ask(SHOW, "alice", "", NULL));
    expect(200, ALICE);
}

Test(api, shows_later)
{
    store.used_units = 1500;
    store.answer = ST_PENDING;
    cr_assert_not(ask(SHOW, "alice", "", NULL));
    op_done(store.waiting, ST_OK);
    cr_assert_eq(dones, 1);
    expect(200, ALICE);
}

Test(api, a_visitor_that_leaves_cancels)
{
    store.answer = ST_PENDING;
    cr_assert_not(ask(SHOW, "alice", "", NULL));
    op_cancel(&op);
    cr_expect_eq(store.cancels, 1);
    turns();
    cr_expect_eq(dones, 0);
}

Test(api, a_visitor_may_leave_before_the_store_is_asked)
{
    struct admin_ask asked = {METHOD_GET, TEXT("alice"), TEXT_NONE, TEXT_NONE};

    cr_assert_eq(api_routes[0].answer(api, &asked, &answer, &op), ST_PENDING);
    op_cancel(&op);
    turns();
    cr_expect_eq(dones, 0);
    cr_expect_eq(store.inspects, 0);
}

static int many_done;

static void on_one_of_many(struct op *done, enum status st)
{
    UNUSED(done);
    cr_expect_eq(st, ST_OK);
    many_done++;
}

Test(api, many_are_under_way_at_once)
{
    enum { MANY = 8 };
    struct op ops_of[MANY];
    struct admin_answer answers[MANY];
    struct admin_ask asked = {METHOD_GET, TEXT("alice"), TEXT_NONE, TEXT_NONE};

    for (int i = 0; i < MANY; i++) {
        ops_of[i] = (struct op){.done = on_one_of_many};
        answers[i] = (struct admin_answer){.status = 200};
        cr_assert_eq(api_routes[0].answer(api, &asked, &answers[i], &ops_of[i]), ST_PENDING);
    }
    for (int i = 0; i < MANY; i += 2)
        op_cancel(&ops_of[i]);
    turns();
    cr_expect_eq(many_done, MANY / 2);
    cr_expect_eq(store.inspects, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        cr_expect_eq(answers[i].body != NULL, i % 2 == 1);
        free(answers[i].body);
    }
}

Test(api, a_store_that_is_down_is_503)
{
    store.answer = ST_UNAVAILABLE;
    cr_assert(ask(SHOW, "alice", "", NULL));
    expect_error(503, "unavailable");
    cr_assert(ask(GRANT, "alice", "", "{\"images\":1}"));
    expect_error(503, "unavailable");
    cr_expect_eq(store.inspects, 1);
}

/* --- whom --- */

Test(api, a_tier_must_be_known_or_named)
{
    cr_assert(ask(SHOW, "bob", "", NULL));
    expect_error(404, "the tier of bob is not known");
    cr_assert(ask(SHOW, "bob", "tier=plus", NULL));
    expect(200, "{\"account\":\"bob\",\"tier\":\"plus\",\"team\":null,\"limits\":[]}\n");
    cr_expect_eq(store.inspects, 0);
    cr_assert(ask(SHOW, "bob", "tier=gold", NULL));
    expect_error(400, "the policy has no tier gold");
    cr_assert(ask(SHOW, "bob", "team=acme&tier=free", NULL));
    expect_error(400, "the policy has no team acme");
    cr_assert(ask(SHOW, "bo b", "", NULL));
    expect_error(400, "visible ASCII");
}

Test(api, an_account_seen_lately_is_known)
{
    struct account bob = {.id = "bob", .tier = 1, .team = -1};

    top_add(top, 1, &bob, config.generation, 0, 20000);
    cr_assert(ask(SHOW, "bob", "", NULL));
    expect(200, "{\"account\":\"bob\",\"tier\":\"plus\",\"team\":null,\"limits\":[]}\n");
    config.generation++; /* whose tiers may be others */
    cr_assert(ask(SHOW, "bob", "", NULL));
    expect_error(404, "not known");
}

/* --- changes --- */

Test(api, grants_to_all_calendar_limits_of_that_measure)
{
    cr_assert(ask(GRANT, "alice", "", "{\"images\": 5}"));
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_expect_eq(store.change.kind, CHANGE_GRANT);
    cr_expect_eq(store.change.units, 5000);
    cr_assert_eq(store.asked.limits_len, 1);
    cr_expect_eq(store.asked.limits[0].limit.rule.kind, LIMIT_DAY);
    cr_expect_eq(store.inspects, 1, "and tells how all stand");
    cr_assert(ask(GRANT, "alice", "", "{\"credits\": -2}"));
    cr_expect_eq(store.change.units, -2000);
    cr_expect_eq(store.asked.limits[0].limit.rule.kind, LIMIT_MONTH);
}

Test(api, grants_until_the_end_of_a_day)
{
    static struct zone_offset seoul_offset = {.offset_s = 9 * 3600};
    static const struct zone seoul = {1, &seoul_offset};

    cr_assert(ask(GRANT, "alice", "", "{\"images\": 5, \"until\": \"2999-12-31\"}"));
    cr_expect_eq(answer.status, 200);
    cr_expect_eq(store.change.units, 5000);
    cr_expect_eq(store.change.until_s, INT64_C(32503680000), "the first of January 3000, in UTC");
    keys[0].zone = &seoul;
    cr_assert(ask(GRANT, "alice", "", "{\"images\": 0, \"until\": \"2999-12-31\"}"));
    cr_expect_eq(store.change.until_s, INT64_C(32503680000) - 9 * 3600, "in the account's zone");
    cr_assert(ask(GRANT, "alice", "", "{\"images\": 5}"));
    cr_expect_eq(store.change.until_s, 0);
}

Test(api, changes_later_and_cancelled)
{
    store.answer = ST_PENDING;
    cr_assert_not(ask(SET, "alice", "", "{\"images\": 2, \"limit\": \"daily\"}"));
    cr_expect_eq(store.change.kind, CHANGE_SET_USED);
    struct op *waiting = store.waiting;
    op_done(waiting, ST_OK);
    cr_expect_eq(dones, 0, "it is still to be read");
    op_done(store.waiting, ST_OK);
    cr_expect_eq(dones, 1);
    cr_assert_not(ask(RESET, "alice", "", ""));
    op_cancel(&op);
    cr_expect_eq(store.cancels, 1);
}

Test(api, one_id_is_one_change_everywhere)
{
    uint64_t first;

    cr_assert(ask(RESET, "alice", "", "{\"id\": \"ticket 7\"}"));
    first = store.asked.id;
    cr_assert(ask(RESET, "alice", "", "{\"id\": \"ticket 7\"}"));
    cr_expect_eq(store.asked.id, first);
    cr_expect_eq(store.asked.limits_len, 2, "daily and monthly");
    cr_assert(ask(RESET, "alice", "", "{\"limit\": \"rate\"}"));
    cr_expect_neq(store.asked.id, first);
    cr_assert_eq(store.asked.limits_len, 1);
    cr_expect_eq(store.asked.limits[0].limit.rule.kind, LIMIT_RATE);
}

Test(api, refuses_what_does_not_fit)
{
    static const struct {
        const char *path, *body;
        int status;
        const char *part;
    } cases[] = {
        {GRANT, "", 400, "not JSON"},
        {GRANT, "{}", 400, "how much is missing"},
        {GRANT, "[1]", 400, "not a JSON object"},
        {GRANT, "{\"images\": \"5\"}", 400, "wrong value for images"},
        {GRANT, "{\"images\": 1.5}", 400, "a whole one"},
        {GRANT, "{\"images\": 1e3}", 400, "wrong value for images"},
        {GRANT, "{\"images\": 99999999999999999999}", 400, "wrong value for images"},
        {GRANT, "{\"images\": 1, \"credits\": 1}", 400, "wrong value for credits"},
        {GRANT, "{\"images\": 1, \"images\": 1}", 400, "twice"},
        {GRANT, "{\"images\": 1, \"limits\": 1}", 400, "unknown key"},
        {GRANT, "{\"images\": 1, \"limit\": \"in_flight\"}", 400, "wrong value for limit"},
        {GRANT, "{\"images\": 1, \"limit\": \"weekly\"}", 422, "daily images of the account"},
        {GRANT, "{\"images\": 1, \"scope\": \"team\"}", 422, "no such limit"},
        {GRANT, "{\"images\": 1, \"scope\": \"all\"}", 400, "wrong value for scope"},
        {GRANT, "{\"images\": {\"n\": 1}}", 400, "wrong value for images"},
        {GRANT, "{\"images\": 1, \"until\": \"2999-02-29\"}", 400, "wrong value for until"},
        {GRANT, "{\"images\": 1, \"until\": \"tomorrow\"}", 400, "wrong value for until"},
        {GRANT, "{\"images\": 1, \"until\": \"2999-1-001\"}", 400, "wrong value for until"},
        {GRANT, "{\"images\": 1, \"until\": \"2020-01-01\"}", 400, "over"},
        {GRANT, "{\"images\": -1, \"until\": \"2999-01-01\"}", 400, "not negative"},
        {GRANT, "{\"images\": 1, \"until\": \"2999-01-01\", \"limit\": \"rate\"}", 400,
         "daily, weekly"},
        {SET, "{\"images\": 1, \"until\": \"2999-01-01\"}", 400, "wrong value for until"},
        {GRANT, "{\"images\": 1, \"tier\": \"\"}", 400, "wrong value for tier"},
        {SET, "{\"images\": -1}", 400, "wrong value for images"},
        {RESET, "{\"images\": 1}", 400, "wrong value for images"},
        {RESET, "{\"tier\": \"plus\"}", 422, "its limits: none"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert(ask(cases[i].path, "alice", "", cases[i].body), "%s", cases[i].body);
        expect_error(cases[i].status, cases[i].part);
    }
    cr_expect_eq(store.amends, 0);
}

Test(api, set_wants_one_limit)
{
    config.policy.tiers[0].rules[1].kind = LIMIT_WEEK;
    config.policy.tiers[0].rules[1].period_us = 0;
    cr_assert(ask(SET, "alice", "", "{\"images\": 1}"));
    expect_error(422, "name one limit");
    cr_assert(ask(SET, "alice", "", "{\"images\": 1, \"limit\": \"weekly\"}"));
    cr_expect_eq(answer.status, 200);
}

/* --- top --- */

Test(api, tells_who_uses_most)
{
    int64_t day = loop_wall_us(loop) / INT64_C(86400000000);
    struct account bob = {.id = "bob\"", .tier = 1, .team = -1};
    struct account old = {.id = "old", .tier = 1, .team = -1, .digest = {{1}}};

    top_add(top, 0, &bob, config.generation, 4, day);
    top_add(top, 1, &old, config.generation - 1, 2, day);
    cr_assert(ask("/v1/quota/top", NULL, "", NULL));
    expect(200,
           "{\"gateways\":1,\"is_whole\":true,\"accounts\":["
           "{\"account\":\"bob\\\"\",\"tier\":\"plus\",\"team\":null,\"images\":4,\"error\":0},"
           "{\"account\":\"old\",\"tier\":null,\"team\":null,\"images\":2,\"error\":0}]}\n");
    cr_assert(ask("/v1/quota/top", NULL, "n=1", NULL));
    cr_expect_null(strstr(answer.body, "old"));
    store.board = ST_UNAVAILABLE;
    cr_assert(ask("/v1/quota/top", NULL, "n=1", NULL));
    cr_expect_not_null(strstr(answer.body, "\"is_whole\":false,\"accounts\":[{\"account\":\"bob"));
    cr_assert(ask("/v1/quota/top", NULL, "n=0", NULL));
    expect_error(400, "from 1 to 1000");
    cr_assert(ask("/v1/quota/top", NULL, "n=x", NULL));
    expect_error(400, "from 1 to 1000");
}
