/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - identity sources.      Runs on: control thread.
 * An item of the list is a mapping with one key, the kind of the source; each kind has a table of its own. */
#include "config/identity.h"

#include "config/accounts.h"
#include "config/url.h"
#include "config/value.h"
#include "config/zone.h"

#define TIER_EXPECTED "the name of a tier of the policy"

/* What the tables read into. */
struct source {
    struct identity_source made;
    const struct policy *policy;
    const struct store_url *quota_store;
};

static enum status read_tier(struct reader *r, const struct key *key, const struct node *node,
                             void *object)
{
    struct source *source = object;

    UNUSED(r);
    UNUSED(key);
    source->made.tier = policy_tier(source->policy, node->text);
    return source->made.tier < 0 ? ST_INVALID : ST_OK;
}

static enum status read_prefix(struct reader *r, const struct node *node,
                               struct address_prefix *out)
{
    if (node->kind == NODE_SCALAR && address_prefix_parse(node->text, out) == ST_OK)
        return ST_OK;
    return key_wrong(r, node, "network", "a network such as 10.0.0.0/8 or 2001:db8::/32", false);
}

enum status prefixes_read(struct reader *r, const struct node *list,
                          struct address_prefix prefixes[TRUST_MAX], int *out_len)
{
    int len = 0;

    if (list->len > TRUST_MAX)
        return reader_fail(r, list, "%d networks, expected at most %d", list->len, TRUST_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_prefix(r, item, &prefixes[len++]);
        if (st)
            return st;
    }
    *out_len = len;
    return ST_OK;
}

/* --- keyfile --- */

static enum status read_keyfile(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct source *source = object;

    UNUSED(key);
    if (node->text.len == 0)
        return ST_INVALID;
    source->made.kind = IDENTITY_KEYFILE;
    return accounts_read(r, node, source->policy, &source->made);
}

/* --- keystore --- */

static enum status read_url(struct reader *r, const struct key *key, const struct node *node,
                            void *object)
{
    struct keystore_conf *conf = object;
    const char *why = NULL;

    UNUSED(key);
    enum status st = url_store(node->text, r->memory, &why, &conf->url);
    if (st == ST_NOMEM)
        return reader_no_memory(r);
    return st ? reader_fail(r, node, "%s", why) : ST_OK;
}

static enum status read_zone(struct reader *r, const struct node *node, struct keystore_zone *out)
{
    if (node->kind != NODE_SCALAR || !zone_exists(node->text))
        return key_wrong(r, node, "zones",
                         "a zone of the tz database (package tzdata) such as Europe/Berlin, or UTC",
                         false);
    out->name = memory_text(r->memory, node->text);
    if (!out->name || zone_take(node->text, r->now_s, r->memory, &out->zone))
        return reader_no_memory(r);
    return ST_OK;
}

static enum status read_zones(struct reader *r, const struct key *key, const struct node *list,
                              void *object)
{
    struct keystore_conf *conf = object;

    UNUSED(key);
    if (list->len > KEYSTORE_ZONES_MAX)
        return reader_fail(r, list, "%d zones, expected at most %d", list->len, KEYSTORE_ZONES_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_zone(r, item, &conf->zones[conf->zones_len]);
        if (st)
            return st;
        conf->zones_len++;
    }
    return ST_OK;
}

static const struct key keystore_keys[] = {
    {"url", NODE_SCALAR, KEY_SECRET, read_url, 0, 0, 0, "the URL of a Redis, as for quota_store"},
    {"cache", NODE_SCALAR, 0, key_int64, offsetof(struct keystore_conf, cache), 16, 10000000,
     "a number of keys, 16 to 10000000"},
    {"fresh_for", NODE_SCALAR, 0, key_duration_ms, offsetof(struct keystore_conf, fresh_ms), 100,
     86400000, "a duration, 100ms to 24h"},
    {"unknown_for", NODE_SCALAR, 0, key_duration_ms, offsetof(struct keystore_conf, unknown_ms),
     100, 3600000, "a duration, 100ms to 1h"},
    {"stale_for", NODE_SCALAR, 0, key_duration_ms, offsetof(struct keystore_conf, stale_ms), 0,
     604800000, "a duration, 0ms to 168h"},
    {"zones", NODE_LIST, 0, read_zones, 0, 0, 0, "a list of time zones such as [Europe/Berlin]"},
};

static enum status read_keystore(struct reader *r, const struct key *key, const struct node *node,
                                 void *object)
{
    struct source *source = object;
    struct keystore_conf *conf = memory_take(r->memory, sizeof(*conf));

    UNUSED(key);
    if (!conf)
        return reader_no_memory(r);
    *conf = (struct keystore_conf){
        .cache = 10000,
        .fresh_ms = 60000,
        .unknown_ms = 5000,
        .stale_ms = 3600000,
    };
    enum status st = keys_read(r, node, keystore_keys, ARRAY_LEN(keystore_keys), conf);
    if (st)
        return st;
    if (conf->url.kind == STORE_NONE)
        conf->url = *source->quota_store;
    if (conf->url.kind != STORE_REDIS)
        return reader_fail(r, node,
                           "keys cannot be kept in an embedded store, expected 'url' (a Redis), or "
                           "a Redis as quota_store");
    source->made.kind = IDENTITY_KEYSTORE;
    source->made.keystore = conf;
    return ST_OK;
}

/* --- header --- */

static enum status read_trust(struct reader *r, const struct key *key, const struct node *list,
                              void *object)
{
    struct source *source = object;

    UNUSED(key);
    if (list->len == 0)
        return reader_fail(r, list, "an empty list for 'trust', expected at least one network");
    return prefixes_read(r, list, source->made.trust, &source->made.trust_len);
}

static const struct key header_keys[] = {
    {"account", NODE_SCALAR, KEY_REQUIRED, key_token, offsetof(struct source, made.account_header),
     0, 0, "the name of a header field"},
    {"tier", NODE_SCALAR, 0, key_token, offsetof(struct source, made.tier_header), 0, 0,
     "the name of a header field"},
    {"default_tier", NODE_SCALAR, 0, read_tier, 0, 0, 0, TIER_EXPECTED},
    {"team", NODE_SCALAR, 0, key_token, offsetof(struct source, made.team_header), 0, 0,
     "the name of a header field"},
    {"trust", NODE_LIST, KEY_REQUIRED, read_trust, 0, 0, 0,
     "a list of networks whose header is believed, such as [127.0.0.0/8]"},
};

static bool is_same_name(const char *a, const char *b)
{
    return a && b && text_equal_nocase(text_of(a), text_of(b));
}

static enum status check_header_names(struct reader *r, const struct node *node,
                                      const struct identity_source *made)
{
    if (is_same_name(made->tier_header, made->account_header))
        return reader_fail(r, node, "one header for account and tier, expected two");
    if (is_same_name(made->team_header, made->account_header) ||
        is_same_name(made->team_header, made->tier_header))
        return reader_fail(r, node, "one header for the team and another key, expected two");
    return ST_OK;
}

static enum status read_header(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct source *source = object;

    UNUSED(key);
    source->made.kind = IDENTITY_HEADER;
    enum status st = keys_read(r, node, header_keys, ARRAY_LEN(header_keys), object);
    if (st)
        return st;
    if (!source->made.tier_header && source->made.tier < 0)
        return reader_fail(r, node, "no tier, expected 'tier' (a header) or 'default_tier'");
    return check_header_names(r, node, &source->made);
}

/* --- bearer --- */

static enum status read_accept(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    UNUSED(r);
    UNUSED(key);
    UNUSED(object);
    return text_equal(node->text, TEXT("any")) ? ST_OK : ST_INVALID;
}

static const struct key bearer_keys[] = {
    {"accept", NODE_SCALAR, KEY_REQUIRED, read_accept, 0, 0, 0, "any"},
    {"tier", NODE_SCALAR, KEY_REQUIRED, read_tier, 0, 0, 0, TIER_EXPECTED},
};

static enum status read_bearer(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct source *source = object;

    UNUSED(key);
    source->made.kind = IDENTITY_BEARER;
    return keys_read(r, node, bearer_keys, ARRAY_LEN(bearer_keys), object);
}

/* --- address --- */

static const struct key address_keys[] = {
    {"tier", NODE_SCALAR, KEY_REQUIRED, read_tier, 0, 0, 0, TIER_EXPECTED},
    {"prefix_v4", NODE_SCALAR, 0, key_int, offsetof(struct source, made.prefix_v4), 1, 32,
     "a number of bits, 1 to 32"},
    {"prefix_v6", NODE_SCALAR, 0, key_int, offsetof(struct source, made.prefix_v6), 1, 128,
     "a number of bits, 1 to 128"},
};

static enum status read_address(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct source *source = object;

    UNUSED(key);
    source->made.kind = IDENTITY_ADDRESS;
    source->made.prefix_v4 = 32;
    source->made.prefix_v6 = 64;
    return keys_read(r, node, address_keys, ARRAY_LEN(address_keys), object);
}

/* --- the list --- */

static const struct key kinds[] = {
    {"keyfile", NODE_SCALAR, 0, read_keyfile, 0, 0, 0, "the name of a file of keys"},
    {"keystore", NODE_MAPPING, 0, read_keystore, 0, 0, 0,
     "{url, cache, fresh_for, unknown_for, stale_for, zones}, or {}"},
    {"header", NODE_MAPPING, 0, read_header, 0, 0, 0, "{account, tier, team, trust}"},
    {"bearer", NODE_MAPPING, 0, read_bearer, 0, 0, 0, "{accept: any, tier}"},
    {"address", NODE_MAPPING, 0, read_address, 0, 0, 0, "{tier, prefix_v4, prefix_v6}"},
};

const struct keystore_conf *config_keystore(const struct config *config)
{
    for (int i = 0; i < config->identity_len; i++)
        if (config->identity[i].kind == IDENTITY_KEYSTORE)
            return config->identity[i].keystore;
    return NULL;
}

static enum status read_source(struct reader *r, const struct node *item,
                               const struct config *config, struct identity_source *out)
{
    struct source source = {
        .made = {.tier = -1}, .policy = &config->policy, .quota_store = &config->store};
    enum status st = keys_read(r, item, kinds, ARRAY_LEN(kinds), &source);

    if (st)
        return st;
    if (item->len != 1)
        return reader_fail(r, item, "%d kinds in one source, expected one a list item", item->len);
    if (source.made.kind == IDENTITY_KEYSTORE && config_keystore(config))
        return reader_fail(r, item, "a second keystore, expected one");
    *out = source.made;
    return ST_OK;
}

enum status identity_read(struct reader *r, const struct key *key, const struct node *list,
                          void *object)
{
    struct config *config = object;

    UNUSED(key);
    if (list->len < 1 || list->len > IDENTITY_SOURCES_MAX)
        return reader_fail(r, list, "%d identity sources, expected 1 to %d", list->len,
                           IDENTITY_SOURCES_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_source(r, item, config, &config->identity[config->identity_len]);
        if (st)
            return st;
        config->identity_len++;
    }
    return ST_OK;
}
