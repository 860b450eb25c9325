/* SPDX-License-Identifier: Apache-2.0 */
/* keystore.c - keys kept in Redis.      Runs on: worker; control thread.
 * A lookup is in the map while Redis is asked.  It is taken out and its waiters are in a list of their own before the first
 * of them is told, for they may ask again at once. */
#include "identity/keystore.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "identity/source.h"

#define POLL_US INT64_C(1000000)
/* A poll that is this old says nothing of what was revoked since. */
#define TRUST_US INT64_C(2000000)

const char *const key_result_words[KEY_RESULTS_LEN] = {"hit",     "refused", "found",
                                                       "unknown", "stale",   "failed"};

_Static_assert((int)KEY_RESULTS_LEN == STAT_KEY_RESULTS, "a cell for each");

struct keystore {
    struct redis_target target;
};

struct lookup {
    struct key_call call;
    struct map_node node;
    struct list link; /* in keys->spare */
    struct list waits;
    struct keys *keys;
    unsigned epoch; /* of the cache, when it was asked for */
    unsigned char sha256[KEY_SHA256_LEN];
};

/* --- judging ------------------------------------------------------------------------------------------------------------ */

static const struct keystore_zone *zone_of(const struct keystore_conf *conf, struct text name)
{
    for (int i = 0; i < conf->zones_len; i++)
        if (text_equal(name, text_of(conf->zones[i].name)))
            return &conf->zones[i];
    return NULL;
}

/* False: this configuration has no such tier, team or zone. */
static bool make_account(const struct key_record *record, const struct config *config,
                         struct account *out)
{
    const struct keystore_zone *zone = NULL;
    int tier = policy_tier(&config->policy, text_of(record->tier));
    int team = -1;

    if (tier < 0)
        return false;
    if (*record->team) {
        team = policy_team(&config->policy, text_of(record->team));
        if (team < 0)
            return false;
    }
    if (*record->zone) {
        zone = zone_of(config_keystore(config), text_of(record->zone));
        if (!zone)
            return false;
    }
    identity_account(out, text_of(record->account), tier);
    out->team = team;
    out->zone = zone ? zone->zone : NULL;
    return true;
}

static void fit(struct cached_key *key, const struct config *config)
{
    key->generation = config->generation;
    key->is_fitting = make_account(&key->record, config, &key->account);
}

static void count(const struct keys *keys, enum key_result result)
{
    if (keys->stats)
        stats_add(keys->stats, STAT_KEY_LOOKUPS, (int)result, 1);
}

static void take(struct keys *keys, struct key_wait *wait, enum key_verdict verdict,
                 enum key_result result)
{
    wait->verdict = verdict;
    count(keys, result);
}

static void take_known(struct keys *keys, struct key_wait *wait, struct cached_key *key,
                       enum key_result result)
{
    if (key->generation != wait->config->generation)
        fit(key, wait->config);
    wait->is_fitting = key->is_fitting;
    if (key->is_fitting)
        wait->account = key->account;
    take(keys, wait, KEY_KNOWN, result);
}

/* Redis does not say. */
static void take_failed(struct keys *keys, struct key_wait *wait, struct cached_key *key)
{
    int64_t stale_us = config_keystore(wait->config)->stale_ms * 1000;

    if (key && key->is_known && loop_now_us(keys->line.loop) - key->confirmed_us < stale_us)
        take_known(keys, wait, key, KEY_RESULT_STALE);
    else
        take(keys, wait, KEY_FAILED, KEY_RESULT_FAILED);
}

static bool is_fresh(const struct keys *keys, const struct cached_key *key,
                     const struct keystore_conf *conf)
{
    int64_t now_us = loop_now_us(keys->line.loop);
    int64_t age_us = now_us - key->confirmed_us;

    if (!key->is_known)
        return age_us < conf->unknown_ms * 1000;
    return age_us < conf->fresh_ms * 1000 && now_us < keys->trusted_until_us;
}

/* --- lookups ------------------------------------------------------------------------------------------------------------ */

static struct lookup *lookup_of(struct key_call *call)
{
    return container_of(call, struct lookup, call);
}

static struct text key_of_lookup(const struct map_node *node)
{
    const struct lookup *lookup = container_of(node, struct lookup, node);

    return (struct text){(const char *)lookup->sha256, KEY_SHA256_LEN};
}

static void write_lookup(struct key_call *call, struct redis_link *link)
{
    const struct lookup *lookup = lookup_of(call);
    char place[KEY_PLACE_MAX];

    redis_link_begin(link, 3);
    redis_link_arg(link, TEXT("HGET"));
    redis_link_arg(link, key_place(call->bucket, 'k', place));
    redis_link_arg(link, (struct text){(const char *)lookup->sha256, KEY_SHA256_LEN});
}

static struct key_wait *next_wait(struct list *waits)
{
    struct list *node = list_pop_front(waits);

    return node ? container_of(node, struct key_wait, link) : NULL;
}

/* Those who wait are told that Redis does not say; what is on its way may go on. */
static void fail_waits(struct lookup *lookup)
{
    struct keys *keys = lookup->keys;
    unsigned char sha256[KEY_SHA256_LEN];
    struct list waits;

    memcpy(sha256, lookup->sha256, sizeof(sha256));
    list_move(&lookup->waits, &waits);
    for (struct key_wait *wait = next_wait(&waits); wait; wait = next_wait(&waits)) {
        take_failed(keys, wait, key_cache_find(&keys->cache, sha256));
        op_done(wait->op, ST_OK);
    }
}

/* What Redis said; the memory of it is not needed for the answer. */
static void answer_waits(struct keys *keys, struct list *waits, const struct key_record *record)
{
    struct cached_key key = {.generation = -1};

    if (record)
        key.record = *record;
    for (struct key_wait *wait = next_wait(waits); wait; wait = next_wait(waits)) {
        if (record)
            take_known(keys, wait, &key, KEY_RESULT_FOUND);
        else
            take(keys, wait, KEY_UNKNOWN, KEY_RESULT_UNKNOWN);
        op_done(wait->op, ST_OK);
    }
}

/* A revocation that became known since the key was asked for may be of this very key: then it is not remembered. */
static void remember(struct lookup *lookup, const struct keystore_conf *conf,
                     const struct key_record *record)
{
    struct keys *keys = lookup->keys;
    int64_t len_max = record ? conf->cache : MAX(conf->cache / 4, 1);
    struct cached_key *key;

    if (lookup->epoch != keys->cache.epoch)
        return;
    key = key_cache_put(&keys->cache, lookup->sha256, record != NULL, len_max);
    if (!key)
        return;
    key->confirmed_us = lookup->call.redis.queued_us;
    if (!record)
        return;
    key->generation = -1;
    key->record = *record;
}

static void on_lookup_late(struct key_call *call)
{
    fail_waits(lookup_of(call));
}

static void retire(struct lookup *lookup)
{
    map_remove(&lookup->keys->lookups, &lookup->node);
    list_push_back(&lookup->keys->spare, &lookup->link);
}

/* A value that is there, but not understood; false for any other. */
static bool is_unreadable(const redisReply *reply, struct key_record *out)
{
    if (reply->type == REDIS_REPLY_NIL)
        return false;
    if (reply->type == REDIS_REPLY_STRING &&
        key_record_read((struct text){reply->str, reply->len}, out) == ST_OK)
        return false;
    log_event(LOG_ERROR, "keystore_unreadable",
              "why=\"a key is kept in a form that this version does not know\"");
    return true;
}

static void on_lookup_done(struct key_call *call, const redisReply *reply)
{
    struct lookup *lookup = lookup_of(call);
    struct keys *keys = lookup->keys;
    struct key_record record;
    struct list waits;

    if (!reply || is_unreadable(reply, &record)) {
        retire(lookup);
        fail_waits(lookup);
        return;
    }
    const struct key_record *found = reply->type == REDIS_REPLY_STRING ? &record : NULL;
    if (!list_is_empty(&lookup->waits)) {
        const struct key_wait *first = container_of(lookup->waits.next, struct key_wait, link);
        remember(lookup, config_keystore(first->config), found);
    }
    retire(lookup);
    list_move(&lookup->waits, &waits);
    answer_waits(keys, &waits, found);
}

static struct lookup *take_lookup(struct keys *keys)
{
    struct list *node = list_pop_front(&keys->spare);
    struct lookup *lookup =
        node ? container_of(node, struct lookup, link) : calloc(1, sizeof(*lookup));

    if (!lookup)
        return NULL;
    list_init(&lookup->link);
    list_init(&lookup->waits);
    lookup->keys = keys;
    lookup->epoch = keys->cache.epoch;
    lookup->call.write = write_lookup;
    lookup->call.late = on_lookup_late;
    lookup->call.done = on_lookup_done;
    return lookup;
}

/* The one that is on its way for this key, or a new one; NULL: Redis is down, or there is no memory. */
static struct lookup *join(struct keys *keys, const unsigned char *sha256)
{
    struct map_node *node =
        map_find(&keys->lookups, (struct text){(const char *)sha256, KEY_SHA256_LEN});

    struct lookup *lookup = node ? container_of(node, struct lookup, node) : take_lookup(keys);

    if (!lookup)
        return NULL;
    if (node)
        return key_call_join(&lookup->call) == ST_PENDING ? lookup : NULL;
    memcpy(lookup->sha256, sha256, KEY_SHA256_LEN);
    if (key_call_start(&keys->line, &lookup->call, key_bucket(sha256)) != ST_PENDING) {
        list_push_back(&keys->spare, &lookup->link);
        return NULL;
    }
    map_insert(&keys->lookups, &lookup->node);
    return lookup;
}

static void on_cancel(struct op *op)
{
    struct key_wait *wait = op->callee;

    list_remove(&wait->link); /* the answer, when it comes, is for those who ask next */
}

static enum status wait_for(struct lookup *lookup, struct key_wait *wait, struct op *op)
{
    wait->op = op;
    op->callee = wait;
    op->cancel = on_cancel;
    list_init(&wait->link);
    list_push_back(&lookup->waits, &wait->link);
    return ST_PENDING;
}

enum status keys_find(struct keys *keys, const unsigned char sha256[KEY_SHA256_LEN],
                      struct key_wait *wait, struct op *op)
{
    struct cached_key *key = key_cache_find(&keys->cache, sha256);

    if (key && is_fresh(keys, key, config_keystore(wait->config))) {
        if (key->is_known)
            take_known(keys, wait, key, KEY_RESULT_HIT);
        else
            take(keys, wait, KEY_UNKNOWN, KEY_RESULT_REFUSED);
        return ST_OK;
    }

    struct lookup *lookup = join(keys, sha256);

    if (lookup)
        return wait_for(lookup, wait, op);
    take_failed(keys, wait, key);
    return ST_OK;
}

/* --- what was revoked --------------------------------------------------------------------------------------------------- */

static struct keys *keys_of_poll(struct key_call *call)
{
    return container_of(call, struct keys, poll_call);
}

static void write_poll(struct key_call *call, struct redis_link *link)
{
    UNUSED(call);
    redis_link_begin(link, 2);
    redis_link_arg(link, TEXT("GET"));
    redis_link_arg(link, KEY_COUNTER);
}

static void on_poll_late(struct key_call *call)
{
    UNUSED(call); /* nobody waits for it */
}

static void on_poll_done(struct key_call *call, const redisReply *reply)
{
    struct keys *keys = keys_of_poll(call);
    int64_t counter = 0;

    keys->is_polling = false;
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_STRING)
        counter = strtoll(reply->str, NULL, 10);
    if (counter != keys->counter)
        key_cache_clear(&keys->cache);
    keys->counter = counter;
    keys->trusted_until_us = call->redis.queued_us + TRUST_US;
}

static void poll(struct keys *keys)
{
    timer_set(keys->line.loop, &keys->poll, loop_now_us(keys->line.loop) + POLL_US);
    if (!keys->is_polling)
        keys->is_polling =
            key_call_start(&keys->line, &keys->poll_call, KEY_COUNTER_BUCKET) == ST_PENDING;
}

static void on_poll(struct timer *timer)
{
    poll(container_of(timer, struct keys, poll));
}

static void on_ready(struct key_line *line)
{
    poll(container_of(line, struct keys, line));
}

/* --- a thread's door ---------------------------------------------------------------------------------------------------- */

static void free_lookups(struct keys *keys)
{
    LIST_EACH (node, &keys->spare)
        free(container_of(node, struct lookup, link));
}

static enum status open_parts(struct keys *keys, struct loop *loop)
{
    enum status st = key_cache_init(&keys->cache);

    if (st == ST_OK)
        st = map_init(&keys->lookups, key_of_lookup);
    if (st == ST_OK)
        st = key_line_open(&keys->line, loop, &keys->store->target);
    return st;
}

enum status keys_open(struct keystore *store, struct loop *loop, struct stats *stats,
                      struct keys **out)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return ST_NOMEM;
    keys->store = store;
    keys->stats = stats;
    keys->counter = -1;
    keys->line.ready = on_ready;
    keys->poll_call.write = write_poll;
    keys->poll_call.late = on_poll_late;
    keys->poll_call.done = on_poll_done;
    list_init(&keys->spare);
    timer_init(&keys->poll, on_poll);

    enum status st = open_parts(keys, loop);

    if (st) {
        key_cache_fini(&keys->cache);
        map_fini(&keys->lookups);
        free(keys);
        return st;
    }
    *out = keys;
    return ST_OK;
}

void keys_close(struct keys **where)
{
    struct keys *keys = *where;

    if (!keys)
        return;
    *where = NULL;
    timer_clear(&keys->poll);
    key_line_close(&keys->line);
    ASSERT(keys->lookups.len == 0);
    free_lookups(keys);
    key_cache_fini(&keys->cache);
    map_fini(&keys->lookups);
    free(keys);
}

/* --- what the threads share --------------------------------------------------------------------------------------------- */

enum status keystore_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                          struct keystore **out)
{
    struct keystore *store = calloc(1, sizeof(*store));
    struct text_out text;

    text_out_init(&text, error, CONFIG_ERROR_MAX);
    text_out_add(&text, TEXT("identity: keystore: "));
    if (!store)
        return ST_NOMEM;

    enum status st =
        redis_target_init(&store->target, &config_keystore(config)->url, config, &text);

    if (st) {
        redis_target_fini(&store->target);
        free(store);
        return st;
    }
    store->target.is_keystore = true;
    *out = store;
    return ST_OK;
}

void keystore_close(struct keystore **where)
{
    struct keystore *store = *where;

    if (!store)
        return;
    *where = NULL;
    redis_target_fini(&store->target);
    free(store);
}

/* --- the source --------------------------------------------------------------------------------------------------------- */

static enum identity_answer judge(const struct key_wait *wait, struct identity_found *out,
                                  enum identity_fault *fault)
{
    switch (wait->verdict) {
    case KEY_KNOWN:
        if (wait->is_fitting) {
            out->account = wait->account;
            out->hides_key = true;
            return IDENTITY_DECIDES;
        }
        *fault = IDENTITY_FAULT_BAD_TIER;
        return IDENTITY_REFUSES;
    case KEY_UNKNOWN:
        return IDENTITY_PASSES;
    case KEY_NONE:
    case KEY_FAILED:
        break;
    }
    *fault = IDENTITY_FAULT_UNAVAILABLE;
    return IDENTITY_REFUSES;
}

/* A key of which nothing can be said goes to no other source: that could be a cheaper account, or a stranger's. */
enum identity_answer identity_by_keystore(const struct identity_case *c, struct identity_found *out,
                                          enum identity_fault *fault)
{
    struct key_wait *wait = &c->ask->wait->key;
    unsigned char sha256[KEY_SHA256_LEN];

    if (c->credential.state != CREDENTIAL_TOKEN)
        return IDENTITY_PASSES;
    if (c->ask->keys && wait->verdict == KEY_NONE) {
        wait->config = c->ask->config;
        identity_sha256(c->credential.token, sha256);
        if (keys_find(c->ask->keys, sha256, wait, c->op) == ST_PENDING)
            return IDENTITY_WAITS;
    }
    return judge(wait, out, fault);
}
