/* SPDX-License-Identifier: Apache-2.0 */
/* keys_rig.c - see keys_rig.h. */
#include "unit/identity/keys_rig.h"

#include <string.h>

#include "identity/key_words.h"

static struct key_answer answer;

void keys_rig_init(struct keys_rig *rig)
{
    static const struct stats_shape shape = {1, 1, 1};

    memset(rig, 0, sizeof(*rig));
    rig_init(&rig->redis, STORE_REDIS);
    rig->config = &rig->redis.config;
    rig->config->generation = 1;
    rig->config->policy.tiers_len = 2;
    rig->config->policy.tiers[0].name = "free";
    rig->config->policy.tiers[1].name = "plus";
    rig->teams[0].name = "blue";
    rig->teams[1].name = "red";
    rig->config->policy.teams = rig->teams;
    rig->config->policy.teams_len = 2;
    rig->conf = (struct keystore_conf){
        .url = rig->config->store,
        .cache = 100,
        .fresh_ms = 60000,
        .unknown_ms = 5000,
        .stale_ms = 3600000,
        .zones_len = 1,
        .zones = {{"Europe/Berlin", &rig->zone}},
    };
    rig->config->identity_len = 1;
    rig->config->identity[0] =
        (struct identity_source){.kind = IDENTITY_KEYSTORE, .keystore = &rig->conf};
    for (int i = 0; i < KEYS_DOORS; i++)
        cr_assert_eq(stats_init(&rig->stats[i], &shape), ST_OK);
}

static bool is_trusting(const struct keys_rig *rig)
{
    for (int i = 0; i < KEYS_DOORS; i++)
        if (rig->keys[i]->is_polling ||
            loop_now_us(rig->redis.loop) >= rig->keys[i]->trusted_until_us)
            return false;
    return true;
}

void keys_rig_open(struct keys_rig *rig)
{
    char error[CONFIG_ERROR_MAX];

    cr_assert_eq(keystore_open(rig->config, error, &rig->store), ST_OK, "%s", error);
    for (int i = 0; i < KEYS_DOORS; i++)
        cr_assert_eq(keys_open(rig->store, rig->redis.loop, &rig->stats[i], &rig->keys[i]), ST_OK);
    RIG_UNTIL(&rig->redis, is_trusting(rig));
}

void keys_rig_fini(struct keys_rig *rig)
{
    for (int i = 0; i < KEYS_DOORS; i++) {
        keys_close(&rig->keys[i]);
        stats_fini(&rig->stats[i]);
    }
    keystore_close(&rig->store);
    key_answer_free(&answer);
    rig_fini(&rig->redis);
}

void keys_rig_begin(struct keys_rig *rig, int door, const char *key, struct keys_ask_of *ask)
{
    unsigned char sha256[KEY_SHA256_LEN];

    *ask = (struct keys_ask_of){.wait = {.config = rig->config}};
    rig_wait_init(&ask->op);
    key_word_sha256(text_of(key), sha256);
    ask->st = keys_find(rig->keys[door], sha256, &ask->wait, &ask->op.op);
}

enum key_verdict keys_rig_ask(struct keys_rig *rig, int door, const char *key)
{
    struct keys_ask_of ask;

    keys_rig_begin(rig, door, key, &ask);
    cr_assert_eq(rig_ended(&rig->redis, &ask.op, ask.st), ST_OK);
    return ask.wait.verdict;
}

const char *keys_rig_account(struct keys_rig *rig, int door, const char *key)
{
    static char id[ACCOUNT_ID_MAX + 1];
    struct keys_ask_of ask;

    keys_rig_begin(rig, door, key, &ask);
    cr_assert_eq(rig_ended(&rig->redis, &ask.op, ask.st), ST_OK);
    strcpy(id, ask.wait.verdict == KEY_KNOWN && ask.wait.is_fitting ? ask.wait.account.id : "");
    return id;
}

uint64_t keys_rig_count(const struct keys_rig *rig, int door, enum key_result result)
{
    return stats_value(&rig->stats[door], STAT_KEY_LOOKUPS, (int)result);
}

void keys_rig_later(struct keys_rig *rig, int64_t us)
{
    clock_skip_us(us);
    loop_run_once(rig->redis.loop, 0);
    RIG_UNTIL(&rig->redis, is_trusting(rig));
}

static enum status ended(struct keys_rig *rig, struct rig_wait *wait, enum status st)
{
    return rig_ended(&rig->redis, wait, st);
}

static void fresh(struct rig_wait *wait)
{
    key_answer_free(&answer);
    rig_wait_init(wait);
}

enum status keys_rig_add_as(struct keys_rig *rig, const char *key, const struct key_record *record)
{
    unsigned char sha256[KEY_SHA256_LEN];
    struct rig_wait wait;

    fresh(&wait);
    key_word_sha256(text_of(key), sha256);
    return ended(rig, &wait, key_task_add(rig->keys[0], sha256, record, &answer, &wait.op));
}

enum status keys_rig_add(struct keys_rig *rig, const char *key, const char *account,
                         const char *tier)
{
    struct key_record record = {.created = "2026-11-22"};

    strcpy(record.account, account);
    strcpy(record.tier, tier);
    return keys_rig_add_as(rig, key, &record);
}

enum status keys_rig_list(struct keys_rig *rig, const char *account, const char *cursor, int len)
{
    struct key_list_terms terms = {account, cursor, len};
    struct rig_wait wait;

    fresh(&wait);
    return ended(rig, &wait, key_task_list(rig->keys[0], &terms, &answer, &wait.op));
}

enum status keys_rig_revoke(struct keys_rig *rig, const char *digits)
{
    struct rig_wait wait;

    fresh(&wait);
    return ended(rig, &wait, key_task_revoke(rig->keys[0], digits, &answer, &wait.op));
}

enum status keys_rig_revoke_account(struct keys_rig *rig, const char *account)
{
    struct rig_wait wait;

    fresh(&wait);
    return ended(rig, &wait, key_task_revoke_account(rig->keys[0], account, &answer, &wait.op));
}

const struct key_answer *keys_rig_answer(void)
{
    return &answer;
}

const char *keys_rig_digits(const char *key)
{
    static char digits[KEY_DIGEST_MAX];

    key_word_digest(text_of(key), digits);
    return digits;
}
