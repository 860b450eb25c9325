/* SPDX-License-Identifier: Apache-2.0 */
/* header.c - an account named by a trusted peer, one that has checked who asks.      Runs on: worker.
 * What such a peer gets wrong is refused, never passed to the next source: that could be a cheaper account. */
#include "config/value.h"
#include "identity/source.h"

static bool is_trusted(const struct identity_case *c)
{
    struct address peer = address_widen(c->ask->peer);

    for (int i = 0; i < c->source->trust_len; i++)
        if (address_prefix_holds(&c->source->trust[i], &peer))
            return true;
    return false;
}

static bool is_account_id(struct text id)
{
    return id.len <= ACCOUNT_ID_MAX && value_is_visible(id);
}

/* The tier of the policy that the peer names, else the source's own; -1: none of that name, or two. */
static int tier_of(const struct identity_case *c)
{
    const struct identity_source *source = c->source;

    if (!source->tier_header)
        return source->tier;
    struct text name = text_of(source->tier_header);
    int count = head_field_count(c->ask->head, name);
    if (count == 0)
        return source->tier;
    return count == 1 ? policy_tier(&c->ask->config->policy, head_field(c->ask->head, name)) : -1;
}

/* Likewise the team.  -1: none is sent; -2: none of that name, or two. */
static int team_of(const struct identity_case *c)
{
    if (!c->source->team_header)
        return -1;
    struct text name = text_of(c->source->team_header);
    int count = head_field_count(c->ask->head, name);
    if (count == 0)
        return -1;
    int team =
        count == 1 ? policy_team(&c->ask->config->policy, head_field(c->ask->head, name)) : -1;
    return team < 0 ? -2 : team;
}

enum identity_answer identity_by_header(const struct identity_case *c, struct identity_found *out,
                                        enum identity_fault *fault)
{
    struct text name = text_of(c->source->account_header);
    int count = head_field_count(c->ask->head, name);

    if (count == 0 || !is_trusted(c))
        return IDENTITY_PASSES;
    struct text id = head_field(c->ask->head, name);
    int tier = tier_of(c);
    int team = team_of(c);
    if (count > 1 || !is_account_id(id) || tier < 0 || team == -2) {
        *fault = IDENTITY_FAULT_BAD_TIER;
        return IDENTITY_REFUSES;
    }
    identity_account(&out->account, id, tier);
    out->account.team = team;
    out->hides_key = false;
    return IDENTITY_DECIDES;
}
