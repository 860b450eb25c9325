/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys.c - /v1/keys on a real Redis: what is answered, and what is refused. */
#include "admin/keys.h"
#include "identity/key_words.h"
#include "unit/identity/keys_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct keys_rig rig;
static struct keys_api *api;
static struct admin_answer answer;

static void begin(void)
{
    keys_rig_init(&rig);
    keys_rig_open(&rig);
    memset(&answer, 0, sizeof(answer));
    cr_assert_eq(keys_api_open(rig.redis.loop, &api), ST_OK);
    keys_api_configure(api, rig.config, rig.keys[0]);
}

static void end(void)
{
    keys_api_close(&api);
    free(answer.body);
    keys_rig_fini(&rig);
}

TestSuite(admin_keys, .timeout = 60);

static const struct admin_route *route_of(enum http_method method, const char *path)
{
    for (const struct admin_route *route = keys_routes; route->path; route++)
        if (route->method == method && strcmp(route->path, path) == 0)
            return route;
    cr_assert_fail("no such route");
    return NULL;
}

static enum status start(enum http_method method, const char *param, const char *rest,
                         struct rig_wait *wait)
{
    const struct admin_route *route = route_of(method, param ? "/v1/keys/*" : "/v1/keys");
    static struct admin_ask asked;

    asked = (struct admin_ask){.method = method, .param = text_of(param)};
    if (method == METHOD_POST)
        asked.body = text_of(rest);
    else
        asked.query = text_of(rest);
    free(answer.body);
    answer = (struct admin_answer){.status = 200};
    rig_wait_init(wait);
    return route->answer(api, &asked, &answer, &wait->op);
}

/* The status; the body is in answer, with a NUL behind it. */
static int ask(enum http_method method, const char *param, const char *rest)
{
    struct rig_wait wait;
    enum status st = start(method, param, rest, &wait);

    cr_assert_eq(rig_ended(&rig.redis, &wait, st), ST_OK);
    cr_assert_eq(strlen(answer.body), answer.body_len);
    return answer.status;
}

static bool says(const char *part)
{
    return strstr(answer.body, part) != NULL;
}
#define SAYS(part) cr_expect(says(part), "%s", answer.body)

static void take_key(char key[KEY_WORD_MAX])
{
    const char *at = strstr(answer.body, "\"key\":\"");

    cr_assert_not_null(at, "%s", answer.body);
    snprintf(key, KEY_WORD_MAX, "%s", at + strlen("\"key\":\""));
}

WHOLE_TEST(admin_keys, from_making_to_revoking)
{
    char key[KEY_WORD_MAX], id[KEY_ID_DIGITS + 1], expected[512];

    cr_assert_eq(ask(METHOD_POST, NULL,
                     "{\"account\":\"alice\",\"tier\":\"plus\",\"team\":\"red\",\"timezone\":"
                     "\"Europe/Berlin\",\"label\":\"a \\\"lap\\\" top\"}"),
                 200);
    take_key(key);
    cr_expect_eq(strncmp(key, "mg_", 3), 0);
    snprintf(id, sizeof(id), "%.16s", keys_rig_digits(key));
    cr_expect_str_eq(keys_rig_account(&rig, 1, key), "alice");
    cr_assert_eq(ask(METHOD_GET, NULL, "account=alice"), 200);
    snprintf(expected, sizeof(expected),
             "{\"keys\":[{\"id\":\"%s\",\"account\":\"alice\",\"tier\":\"plus\",\"team\":\"red\","
             "\"timezone\":\"Europe/Berlin\",\"created\":\"",
             id);
    SAYS(expected);
    SAYS("\",\"label\":\"a \\\"lap\\\" top\"}],\"cursor\":null}\n");
    cr_expect(!says(key), "it is told once");
    cr_assert_eq(ask(METHOD_DELETE, id, NULL), 200);
    snprintf(expected, sizeof(expected), "{\"revoked\":[{\"id\":\"%s\",\"account\":\"alice\"", id);
    SAYS(expected);
    cr_expect_eq(ask(METHOD_DELETE, id, NULL), 404);
    SAYS("no such key");
    cr_assert_eq(ask(METHOD_GET, NULL, NULL), 200);
    cr_expect_str_eq(answer.body, "{\"keys\":[],\"cursor\":null}\n");
}

WHOLE_TEST(admin_keys, one_that_was_made_elsewhere)
{
    char body[256];

    snprintf(body, sizeof(body),
             "{\"account\":\"bob\",\"tier\":\"free\",\"team\":null,\"sha256\":\"%s\"}",
             keys_rig_digits("an old key"));
    cr_assert_eq(ask(METHOD_POST, NULL, body), 200);
    cr_expect(!says("\"key\""), "%s", answer.body);
    cr_expect_str_eq(keys_rig_account(&rig, 1, "an old key"), "bob");
    cr_assert_eq(ask(METHOD_POST, NULL, body), 200, "again");
}

WHOLE_TEST(admin_keys, pages)
{
    char query[128], *cursor;

    for (int i = 0; i < 5; i++)
        cr_assert_eq(ask(METHOD_POST, NULL, "{\"account\":\"alice\",\"tier\":\"plus\"}"), 200);
    cr_assert_eq(ask(METHOD_GET, NULL, "account=alice&n=1000"), 200);
    SAYS("\"cursor\":null");
    cr_assert_eq(ask(METHOD_GET, NULL, "n=1"), 200);
    cursor = strstr(answer.body, "\"cursor\":\"");
    cr_assert_not_null(cursor, "%s", answer.body);
    snprintf(query, sizeof(query), "n=1000&cursor=%.4s", cursor + strlen("\"cursor\":\""));
    cr_assert_eq(ask(METHOD_GET, NULL, query), 200);
    SAYS("\"cursor\":null");
    SAYS("alice");
}

WHOLE_TEST(admin_keys, all_of_an_account)
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ask(METHOD_POST, NULL, "{\"account\":\"a/b&c\",\"tier\":\"plus\"}"), 200);
    cr_assert_eq(ask(METHOD_DELETE, NULL, "account=a%2Fb%26c"), 200);
    SAYS("a/b&c");
    cr_assert_eq(ask(METHOD_DELETE, NULL, "account=a%2Fb%26c"), 200);
    cr_expect_str_eq(answer.body, "{\"revoked\":[]}\n");
    cr_expect_eq(ask(METHOD_DELETE, NULL, NULL), 400);
    SAYS("all keys are never revoked");
}

WHOLE_TEST(admin_keys, what_is_refused)
{
    static const struct row {
        enum http_method method;
        const char *param, *rest;
        int status;
        const char *why;
    } rows[] = {
        {METHOD_POST, NULL, "", 400, "not JSON"},
        {METHOD_POST, NULL, "[]", 400, "not a JSON object"},
        {METHOD_POST, NULL, "{\"account\":\"a\"}", 400, "account or tier is missing"},
        {METHOD_POST, NULL, "{\"tier\":\"free\"}", 400, "account or tier is missing"},
        {METHOD_POST, NULL, "{\"account\":\"a b\",\"tier\":\"free\"}", 400, "for account"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"gold\"}", 400, "for tier"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":3}", 400, "for tier"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"team\":\"x\"}", 400,
         "for team"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"timezone\":\"UTC\"}", 400,
         "one of the keystore's zones"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"sha256\":\"ab\"}", 400,
         "for sha256"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"label\":\"a\\nb\"}", 400,
         "for label"},
        {METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"x\":1}", 400, "unknown key"},
        {METHOD_GET, NULL, "n=0", 400, "wrong value for n"},
        {METHOD_GET, NULL, "n=1001", 400, "wrong value for n"},
        {METHOD_GET, NULL, "account=", 400, "account or cursor"},
        {METHOD_DELETE, "0123", NULL, 400, "16 to 64 hex digits"},
        {METHOD_DELETE, "0123456789abcdeg", NULL, 400, "16 to 64 hex digits"},
        {METHOD_DELETE, "0123456789ABCDEF", NULL, 404, "no such key"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cr_expect_eq(ask(rows[i].method, rows[i].param, rows[i].rest), rows[i].status,
                     "row %zu: %s", i, answer.body);
        cr_expect(says(rows[i].why), "row %zu: %s", i, answer.body);
    }
}

WHOLE_TEST(admin_keys, one_team_an_account)
{
    cr_assert_eq(ask(METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"team\":\"red\"}"),
                 200);
    cr_assert_eq(ask(METHOD_POST, NULL, "{\"account\":\"a\",\"tier\":\"free\",\"team\":\"blue\"}"),
                 409);
    SAYS("a has keys already, with another team or time zone (team red, time zone the policy's)");
}

WHOLE_TEST(admin_keys, without_a_keystore_it_is_said)
{
    keys_api_configure(api, rig.config, NULL);
    cr_expect_eq(ask(METHOD_GET, NULL, NULL), 404);
    SAYS("this gateway has no keystore");
    cr_expect_eq(ask(METHOD_POST, NULL, "{}"), 404);
    cr_expect_eq(ask(METHOD_DELETE, "0123456789abcdef", NULL), 404);
    cr_expect_eq(ask(METHOD_DELETE, NULL, "account=a"), 404);
}

WHOLE_TEST(admin_keys, down)
{
    rig_redis_kill(&rig.redis);
    RIG_UNTIL(&rig.redis, redis_link_is_refusing(redis_route_link(&rig.keys[0]->line.route, 0)));
    cr_expect_eq(ask(METHOD_GET, NULL, NULL), 503);
    SAYS("may be asked for again");
}

WHOLE_TEST(admin_keys, a_visitor_that_leaves)
{
    struct rig_wait wait;

    cr_assert_eq(start(METHOD_POST, NULL, "{\"account\":\"alice\",\"tier\":\"plus\"}", &wait),
                 ST_PENDING);
    op_cancel(&wait.op);
    RIG_UNTIL(&rig.redis, list_is_empty(&rig.keys[0]->line.sent));
    cr_expect(!wait.is_done);
    cr_expect_null(answer.body);
}
