/* SPDX-License-Identifier: Apache-2.0 */
/* who.c - whom an operator means.      Runs on: control thread.  Pure. */
#include "admin/who.h"

#include <stdio.h>
#include <string.h>

#include "config/value.h"
#include "identity/identity.h"
#include "identity/source.h"

#define BEARER       "bearer:"
#define BEARER_SHOWN (sizeof(BEARER) - 1 + 16)

static const struct identity_source *source_of(const struct config *config, enum identity_kind kind)
{
    for (int i = 0; i < config->identity_len; i++) {
        if (config->identity[i].kind == kind)
            return &config->identity[i];
    }
    return NULL;
}

static bool find_seen(const struct config *config, const struct top_list *seen, struct account *out)
{
    if (seen->len == 0 || seen->entries[0].generation != config->generation)
        return false;
    *out = seen->entries[0].account;
    return true;
}

static const struct key_entry *key_of(const struct identity_source *source, struct text id)
{
    for (int i = 0; i < source->keys_len; i++) {
        if (text_equal(id, text_of(source->keys[i].account)))
            return &source->keys[i];
    }
    return NULL;
}

static bool find_key(const struct config *config, struct text id, struct account *out)
{
    for (int i = 0; i < config->identity_len; i++) {
        const struct key_entry *key = key_of(&config->identity[i], id);

        if (key) {
            identity_account_of_key(key, out);
            return true;
        }
    }
    return false;
}

/* "bearer:" and all 64 digits of a token's SHA-256. */
static void cut_bearer(struct text id, struct account *out)
{
    size_t prefix = sizeof(BEARER) - 1;
    unsigned char sha256[32];

    if (text_unhex((struct text){id.ptr + prefix, id.len - prefix}, sha256, sizeof(sha256)))
        return;
    out->digest = identity_bearer_digest(sha256);
    memset(out->id + BEARER_SHOWN, 0, sizeof(out->id) - BEARER_SHOWN);
}

/* By the source that makes such ids; tier -1: it is not known. */
static void guess(const struct config *config, struct text id, struct account *out)
{
    const struct identity_source *source = source_of(config, IDENTITY_HEADER);

    if (text_starts_with(id, TEXT(BEARER)))
        source = source_of(config, IDENTITY_BEARER);
    else if (text_starts_with(id, TEXT("ip:")))
        source = source_of(config, IDENTITY_ADDRESS);
    identity_account(out, id, source ? source->tier : -1);
    if (text_starts_with(id, TEXT(BEARER)))
        cut_bearer(id, out);
}

static enum status apply_query(const struct policy *policy, const struct api_query *query,
                               struct account *out, char why[API_WHY_MAX])
{
    if (query->tier[0]) {
        out->tier = policy_tier(policy, text_of(query->tier));
        if (out->tier < 0) {
            snprintf(why, API_WHY_MAX, "the policy has no tier %s", query->tier);
            return ST_INVALID;
        }
    }
    if (query->team[0]) {
        out->team = policy_team(policy, text_of(query->team));
        if (out->team < 0) {
            snprintf(why, API_WHY_MAX, "the policy has no team %s", query->team);
            return ST_INVALID;
        }
    }
    return ST_OK;
}

enum status who_find(const struct config *config, const struct top_list *seen, struct text id,
                     const struct api_query *query, struct account *out, char why[API_WHY_MAX])
{
    if (id.len > ACCOUNT_ID_MAX || !value_is_visible(id)) {
        snprintf(why, API_WHY_MAX, "an account's id is 1 to %d visible ASCII characters",
                 ACCOUNT_ID_MAX);
        return ST_INVALID;
    }
    if (!find_seen(config, seen, out) && !find_key(config, id, out)) {
        guess(config, id, out);
        if (text_starts_with(id, TEXT(BEARER)) && id.len == BEARER_SHOWN) {
            snprintf(
                why, API_WHY_MAX,
                "this gateway has not seen %.*s lately: name it by all 64 digits of its token's "
                "SHA-256",
                TEXT_ARG(id));
            return ST_REFUSED;
        }
    }
    enum status st = apply_query(&config->policy, query, out, why);
    if (st)
        return st;
    if (out->tier < 0) {
        snprintf(
            why, API_WHY_MAX,
            "the tier of %.*s is not known: no keyfile names it, and this gateway has not seen "
            "it lately; name its tier",
            TEXT_ARG(id));
        return ST_REFUSED;
    }
    return ST_OK;
}
