/* SPDX-License-Identifier: Apache-2.0 */
/* test_key_task.c - adding, listing and revoking keys in a real Redis; also what a crash leaves behind. */
#include "unit/identity/keys_rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct keys_rig rig;

static void begin(void)
{
    keys_rig_init(&rig);
    keys_rig_open(&rig);
}

static void end(void)
{
    for (int i = 0; i < KEYS_DOORS; i++)
        cr_assert(list_is_empty(&rig.keys[i]->line.parked));
    keys_rig_fini(&rig);
}

TestSuite(key_task, .timeout = 60);

static void add_many(int from, int to, const char *account)
{
    char key[16];

    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        cr_assert_eq(keys_rig_add(&rig, key, account, "free"), ST_OK);
    }
}

WHOLE_TEST(key_task, no_key_is_in_redis)
{
    cr_assert_eq(keys_rig_add(&rig, "mg_secret", "alice", "plus"), ST_OK);
    cr_assert_eq(keys_rig_answer()->len, 1);
    cr_expect_str_eq(keys_rig_answer()->rows[0].record.account, "alice");
    unsigned char sha256[KEY_SHA256_LEN];
    identity_sha256(TEXT("mg_secret"), sha256);
    redisReply *reply =
        redisCommand(rig.redis.server.side, "HGETALL mg:{%d}:k", (int)key_bucket(sha256));
    cr_assert_eq(reply->elements, 2U);
    cr_expect_eq(memcmp(reply->element[0]->str, sha256, KEY_SHA256_LEN), 0);
    cr_expect_str_eq(reply->element[1]->str, "1 alice plus - - 2026-11-22");
    freeReplyObject(reply);
}

WHOLE_TEST(key_task, pages_of_an_account)
{
    char cursor[KEY_CURSOR_MAX + 1] = "";
    int seen = 0, pages = 0;

    add_many(0, 150, "alice");
    add_many(150, 160, "bob");
    do {
        cr_assert_eq(keys_rig_list(&rig, "alice", cursor, 64), ST_OK);
        const struct key_answer *answer = keys_rig_answer();
        for (int i = 1; i < answer->len; i++)
            cr_expect(memcmp(answer->rows[i - 1].sha256, answer->rows[i].sha256, KEY_SHA256_LEN) <
                      0);
        seen += answer->len;
        pages++;
        strcpy(cursor, answer->cursor);
    } while (*cursor);
    cr_expect_eq(seen, 150);
    cr_expect_eq(pages, 3);
    cr_assert_eq(keys_rig_list(&rig, "nobody", "", 10), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 0);
}

WHOLE_TEST(key_task, pages_of_all)
{
    char cursor[KEY_CURSOR_MAX + 1] = "";
    int seen = 0, pages = 0;

    add_many(0, 100, "alice");
    add_many(100, 200, "bob");
    do {
        cr_assert_eq(keys_rig_list(&rig, "", cursor, 30), ST_OK);
        seen += keys_rig_answer()->len;
        pages++;
        strcpy(cursor, keys_rig_answer()->cursor);
    } while (*cursor);
    cr_expect_eq(seen, 200);
    cr_expect(pages > 2 && pages <= 7, "%d", pages);
}

WHOLE_TEST(key_task, one_is_revoked_by_its_first_digits)
{
    char id[KEY_ID_DIGITS + 1];

    add_many(0, 3, "alice");
    snprintf(id, sizeof(id), "%.*s", KEY_ID_DIGITS, keys_rig_digits("key-1"));
    cr_assert_eq(keys_rig_revoke(&rig, id), ST_OK);
    cr_assert_eq(keys_rig_answer()->len, 1);
    cr_expect_str_eq(keys_rig_answer()->rows[0].record.account, "alice");
    cr_expect_eq(keys_rig_revoke(&rig, id), ST_CLOSED);
    cr_assert_eq(keys_rig_list(&rig, "alice", "", 10), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 2);
    struct account_digest digest = identity_digest(TEXT("alice"));
    cr_expect_eq(rig_redis(&rig.redis, "HLEN mg:{%d}:a", (int)key_account_bucket(&digest)), 2);
}

WHOLE_TEST(key_task, several_that_begin_so_are_not_revoked)
{
    unsigned char sha256[2][KEY_SHA256_LEN] = {{1, 2, 3, 4, 5, 6, 7, 8, 9},
                                               {1, 2, 3, 4, 5, 6, 7, 8, 10}};

    for (int i = 0; i < 2; i++)
        rig_redis(&rig.redis, "HSET mg:{%d}:k %b %s", 0x0102, sha256[i], (size_t)KEY_SHA256_LEN,
                  "1 alice plus - - -");
    cr_expect_eq(keys_rig_revoke(&rig, "0102030405060708"), ST_LIMIT);
    cr_expect_eq(keys_rig_revoke(&rig, "010203040506070809"), ST_OK);
    cr_expect_eq(rig_redis(&rig.redis, "HLEN mg:{258}:k"), 1);
}

WHOLE_TEST(key_task, all_of_an_account_are_revoked_and_nobody_elses)
{
    add_many(0, 130, "alice");
    add_many(130, 140, "bob");
    cr_assert_eq(keys_rig_ask(&rig, 1, "key-129"), KEY_KNOWN);
    cr_assert_eq(keys_rig_revoke_account(&rig, "alice"), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 130);
    keys_rig_later(&rig, 1010000);
    cr_expect_eq(keys_rig_ask(&rig, 1, "key-129"), KEY_UNKNOWN);
    cr_assert_eq(keys_rig_list(&rig, "", "", 1000), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 10);
    struct account_digest digest = identity_digest(TEXT("alice"));
    cr_expect_eq(rig_redis(&rig.redis, "EXISTS mg:{%d}:a", (int)key_account_bucket(&digest)), 0);
}

WHOLE_TEST(key_task, what_a_crash_left_behind_is_taken_out)
{
    struct account_digest digest = identity_digest(TEXT("alice"));
    unsigned char sha256[KEY_SHA256_LEN] = {9}, field[KEY_INDEX_LEN];

    add_many(0, 1, "alice");
    key_index_field(&digest, sha256, field);
    rig_redis(&rig.redis, "HSET mg:{%d}:a %b %s", (int)key_account_bucket(&digest), field,
              sizeof(field), "");
    cr_assert_eq(keys_rig_list(&rig, "alice", "", 10), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 1, "what does not work is not listed");
    cr_assert_eq(keys_rig_revoke_account(&rig, "alice"), ST_OK);
    cr_expect_eq(keys_rig_answer()->len, 1);
    cr_expect_eq(rig_redis(&rig.redis, "EXISTS mg:{%d}:a", (int)key_account_bucket(&digest)), 0);
}

WHOLE_TEST(key_task, a_revocation_that_broke_off_is_announced_by_the_next)
{
    unsigned char sha256[KEY_SHA256_LEN];

    add_many(0, 1, "alice");
    cr_assert_eq(keys_rig_ask(&rig, 1, "key-0"), KEY_KNOWN);
    identity_sha256(TEXT("key-0"), sha256);
    rig_redis(&rig.redis, "HDEL mg:{%d}:k %b", (int)key_bucket(sha256), sha256, sizeof(sha256));
    cr_expect_eq(keys_rig_revoke(&rig, keys_rig_digits("key-0")), ST_CLOSED);
    keys_rig_later(&rig, 1010000);
    cr_expect_eq(keys_rig_ask(&rig, 1, "key-0"), KEY_UNKNOWN);
}

WHOLE_TEST(key_task, keys_of_one_account_agree)
{
    struct key_record record = {"alice", "plus", "red", "Europe/Berlin", "2026-11-22", ""};

    cr_assert_eq(keys_rig_add_as(&rig, "key-1", &record), ST_OK);
    cr_assert_eq(keys_rig_add(&rig, "key-2", "alice", "free"), ST_OK);
    cr_expect_str_eq(keys_rig_answer()->rows[0].record.team, "red", "as the other one");
    cr_expect_str_eq(keys_rig_answer()->rows[0].record.zone, "Europe/Berlin");
    strcpy(record.team, "blue");
    cr_assert_eq(keys_rig_add_as(&rig, "key-3", &record), ST_REFUSED);
    cr_assert_eq(keys_rig_answer()->len, 1);
    cr_expect_str_eq(keys_rig_answer()->rows[0].record.team, "red");
    cr_expect_eq(keys_rig_ask(&rig, 0, "key-3"), KEY_UNKNOWN);
}

WHOLE_TEST(key_task, a_key_that_is_changed_is_announced)
{
    struct key_record record = {"alice", "free", "", "", "2026-11-22", "first"};

    cr_assert_eq(keys_rig_add_as(&rig, "key-1", &record), ST_OK);
    cr_assert_eq(rig_redis(&rig.redis, "EXISTS mg:{0}:keys"), 0, "a new one is no news");
    cr_assert_eq(keys_rig_ask(&rig, 1, "key-1"), KEY_KNOWN);
    strcpy(record.tier, "plus");
    strcpy(record.team, "red");
    cr_assert_eq(keys_rig_add_as(&rig, "key-1", &record), ST_OK, "it has to agree with no other");
    cr_assert_eq(rig_redis(&rig.redis, "GET mg:{0}:keys"), 1);
    keys_rig_later(&rig, 1010000);
    struct keys_ask_of ask;
    keys_rig_begin(&rig, 1, "key-1", &ask);
    cr_assert_eq(rig_ended(&rig.redis, &ask.op, ask.st), ST_OK);
    cr_expect_eq(ask.wait.account.tier, 1);
}

/* --- waits -------------------------------------------------------------------------------------------------------------- */

static void begin_add(struct key_answer *answer, struct rig_wait *wait)
{
    static const struct key_record record = {.account = "alice", .tier = "free"};
    static const unsigned char sha256[KEY_SHA256_LEN] = {1};

    rig_wait_init(wait);
    *answer = (struct key_answer){.len = 0};
    cr_assert_eq(key_task_add(rig.keys[0], sha256, &record, answer, &wait->op), ST_PENDING);
}

WHOLE_TEST(key_task, one_whose_asker_leaves_goes_on)
{
    struct key_answer answer;
    struct rig_wait wait;

    begin_add(&answer, &wait);
    op_cancel(&wait.op);
    RIG_UNTIL(&rig.redis, rig_redis(&rig.redis, "EXISTS mg:{256}:k") == 1);
    cr_expect(!wait.is_done);
    RIG_UNTIL(&rig.redis, list_is_empty(&rig.keys[0]->line.sent));
}

WHOLE_TEST(key_task, a_silent_redis_keeps_nobody_waiting)
{
    struct key_answer answer;
    struct rig_wait wait;

    kill(rig.redis.server.pid, SIGSTOP);
    begin_add(&answer, &wait);
    RIG_UNTIL(&rig.redis, wait.is_done);
    cr_expect_eq(wait.st, ST_UNAVAILABLE);
    cr_expect(!list_is_empty(&rig.keys[0]->line.sent), "Redis may answer yet");
    cr_expect_eq(keys_rig_add(&rig, "another", "bob", "free"), ST_UNAVAILABLE, "at once");
    kill(rig.redis.server.pid, SIGCONT);
    RIG_UNTIL(&rig.redis, list_is_empty(&rig.keys[0]->line.sent));
}

WHOLE_TEST(key_task, what_is_under_way_at_the_end_is_told)
{
    struct key_answer answer;
    struct rig_wait wait;

    begin_add(&answer, &wait);
    keys_close(&rig.keys[0]);
    cr_expect(wait.is_done);
    cr_expect_eq(wait.st, ST_UNAVAILABLE);
    cr_assert_eq(keys_open(rig.store, rig.redis.loop, &rig.stats[0], &rig.keys[0]), ST_OK);
}
