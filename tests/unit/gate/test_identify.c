/* SPDX-License-Identifier: Apache-2.0 */
/* test_identify.c - requests that wait for the keystore: answered later, given up, left; their heads are still there. */
#include "base/clock.h"
#include "unit/config/fixture.h"
#include "unit/gate/scripted.h"
#include "unit/identity/keys_rig.h"
#include "unit/whole.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct scripted s;
static struct keys_rig rig;
static struct keystore *store;
static struct far_end *far, *backend;

static void begin(void)
{
    char error[CONFIG_ERROR_MAX];

    keys_rig_init(&rig);
    keys_rig_open(&rig);
    scripted_open(&s, "");
    s.config->identity[0] =
        (struct identity_source){.kind = IDENTITY_KEYSTORE, .keystore = &rig.conf};
    s.config->identity[1] = (struct identity_source){.kind = IDENTITY_BEARER, .tier = 0};
    s.config->identity_len = 2;
    cr_assert_eq(keystore_open(s.config, error, &store), ST_OK, "%s", error);
    gate_configure(s.gate, s.config, store);
    cr_assert_not_null(s.gate->keys);
    SCRIPTED_UNTIL(&s, s.gate->keys->trusted_until_us > 0);
    cr_assert_eq(keys_rig_add(&rig, "mg_alice", "alice", "plus"), ST_OK);
    scripted_client(&s, 65536, &far);
}

static void end(void)
{
    scripted_close(&s);
    keystore_close(&store);
    keys_rig_fini(&rig);
}

TestSuite(identify, .timeout = 60);

static const char *job(const char *key)
{
    static char text[512];
    static const char body[] = "{\"prompt\":\"a cat\",\"n\":1}";

    snprintf(text, sizeof(text),
             "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             key, strlen(body), body);
    return text;
}

static void serve(void)
{
    SCRIPTED_UNTIL(&s, far_has(backend, "a cat"));
    far_say(backend, scripted_answer(1));
    SCRIPTED_UNTIL(&s, far_has(far, "200 OK"));
}

WHOLE_TEST(identify, a_key_that_must_be_asked_for)
{
    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, job("mg_alice"));
    serve();
    FAR_LACKS(backend, "mg_alice");
    far_read_anew(far);
    far_read_anew(backend);
    far_say(far, job("mg_alice"));
    serve();
    cr_expect_eq(stats_value(&s.gate->stats, STAT_KEY_LOOKUPS, KEY_RESULT_HIT), 1U);
}

WHOLE_TEST(identify, the_body_comes_while_the_key_is_asked_for)
{
    const char *text = job("mg_alice");
    size_t head = (size_t)(strstr(text, "\r\n\r\n") + 4 - text);

    scripted_upstream(&s, 0, 65536, &backend);
    kill(rig.redis.server.pid, SIGSTOP);
    far_say_bytes(far, text, head);
    scripted_turns(&s, 2);
    far_say(far, text + head);
    scripted_turns(&s, 3);
    kill(rig.redis.server.pid, SIGCONT);
    serve();
}

WHOLE_TEST(identify, one_that_nobody_knows_goes_to_the_next_source)
{
    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, job("another"));
    serve();
    FAR_HAS(backend, "Bearer another");
}

WHOLE_TEST(identify, without_redis_no_weaker_source_decides)
{
    rig_redis_kill(&rig.redis);
    far_say(far, job("another"));
    SCRIPTED_UNTIL(&s, far_has(far, "503 "));
    FAR_HAS(far, "x-meltguard-reason: store_unavailable");
    FAR_HAS(far, "retry-after: ");
    cr_expect_eq(scripted_outcomes(&s, OUTCOME_STORE_UNAVAILABLE), 1U);
}

WHOLE_TEST(identify, a_client_that_breaks_is_forgotten)
{
    kill(rig.redis.server.pid, SIGSTOP);
    far_say(far, job("mg_alice"));
    scripted_turns(&s, 2);
    cr_assert_eq(shared_requests(&s.shared), 1);
    stream_reset(&far->stream);
    SCRIPTED_UNTIL(&s, shared_requests(&s.shared) == 0);
    kill(rig.redis.server.pid, SIGCONT);
    SCRIPTED_UNTIL(&s, s.gate->keys->lookups.len == 0);
}

WHOLE_TEST(identify, a_reload_lets_those_who_wait_end_as_they_began)
{
    scripted_upstream(&s, 0, 65536, &backend);
    kill(rig.redis.server.pid, SIGSTOP);
    far_say(far, job("mg_alice"));
    scripted_turns(&s, 2);

    struct config *next = fixture_load_ok(MAIN_FILE);

    next->generation = 2;
    gate_configure(s.gate, next, store);
    config_unref(&next);
    kill(rig.redis.server.pid, SIGCONT);
    serve();
    cr_expect_eq(s.gate->config->generation, 2);
    gate_configure(s.gate, s.config, store);
}
