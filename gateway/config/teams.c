/* SPDX-License-Identifier: Apache-2.0 */
/* teams.c - teams: accounts that share limits.      Runs on: control thread.
 * A team without a limit may stand here, too: so that accounts can be put into it before it gets one. */
#include "config/teams.h"

#include <stdlib.h>
#include <string.h>

#include "config/limits.h"
#include "config/value.h"

#define NAME_MAX_LEN 64

static enum status read_team(struct reader *r, const struct node *node, struct team *team)
{
    char echo[READER_ECHO_MAX];
    struct rule_set set = {.scope = SCOPE_TEAM,
                           .rules = team->rules,
                           .len = &team->rules_len,
                           .max = LIMITS_MAX,
                           .where = "in a team"};

    if (!value_is_name(node->key->text, NAME_MAX_LEN))
        return reader_fail(r, node->key,
                           "wrong name '%s' for a team, expected 1 to %d letters, digits, '_', "
                           "'-', '.'",
                           reader_echo(node->key, echo), NAME_MAX_LEN);
    team->name = memory_text(r->memory, node->key->text);
    return team->name ? limits_read_both(r, node, &set) : reader_no_memory(r);
}

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct team *)left)->name, ((const struct team *)right)->name);
}

enum status teams_read(struct reader *r, const struct key *key, const struct node *mapping,
                       void *object)
{
    struct policy *policy = object;

    UNUSED(key);
    ASSERT(mapping->len <= TEAMS_MAX); /* no mapping is longer; see parse.c */
    policy->teams = memory_take(r->memory, (size_t)MAX(mapping->len, 1) * sizeof(*policy->teams));
    if (!policy->teams)
        return reader_no_memory(r);
    for (const struct node *node = mapping->first; node; node = node->next) {
        enum status st = read_team(r, node, &policy->teams[policy->teams_len]);
        if (st)
            return st;
        policy->teams_len++;
    }
    qsort(policy->teams, (size_t)policy->teams_len, sizeof(*policy->teams), compare);
    return ST_OK;
}
