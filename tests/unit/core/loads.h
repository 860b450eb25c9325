/* SPDX-License-Identifier: Apache-2.0 */
/* loads.h - load views and a ladder for the tables of core: written short, so that a row can be read. */
#pragma once

#include "core/governor.h"
#include "unit/cases.h"

#define LOADS_MAX 8

/* The tiers of the tables. */
enum { TIER_FREE, TIER_PLUS, TIERS_LEN };

/* The ladder of the tables: T1 and Q1 close to free, T2 and Q2 to all.
 *     T1 above 80, under 76    T2 above 86, under 80    Q1 above 32, under 24    Q2 above 128, under 96 */
extern const struct ladder loads_ladder;

/* "free" or "plus" in the column tier. */
int loads_tier(const struct cases *c);

/* "T1,Q1" or "-" as bits of the ladder's steps. */
uint32_t loads_parse_steps(const struct cases *c, const char *name);
const char *loads_print_steps(uint32_t active, char buf[16]);

/* The column backends: "61:1/4,-:0/4q40,stale:2/4,down,other": temperature, jobs of ours, slots, and the queue that it
 * reports; "stale" has no temperature and counts as overloaded; "down" is ejected; "other" speaks another dialect; "none"
 * alone is an empty list.  The steps are those that become active from none. */
int loads_parse(const struct cases *c, struct backend_load out[LOADS_MAX]);
