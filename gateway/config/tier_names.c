/* SPDX-License-Identifier: Apache-2.0 */
/* tier_names.c - names of tiers, numbered once a process.      Runs on: control thread.
 * Counters are kept by these numbers, so a name keeps its own across generations, even while no policy has it. */
#include "config/tier_names.h"

#include <string.h>

#define NAME_SIZE 64

/* Process-wide by purpose: metrics outlive generations. */
static char names[TIER_NAMES_MAX][NAME_SIZE];
static int names_len;

int tier_names_index(const char *name)
{
    for (int i = 0; i < names_len; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    size_t len = strlen(name);
    if (names_len == TIER_NAMES_MAX || len >= NAME_SIZE)
        return -1;
    memcpy(names[names_len], name, len + 1);
    return names_len++;
}

int config_tier_count(void)
{
    return names_len;
}

const char *config_tier_name(int stats_index)
{
    ASSERT(stats_index >= 0 && stats_index < names_len);
    return names[stats_index];
}
