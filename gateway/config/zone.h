/* SPDX-License-Identifier: Apache-2.0 */
/* zone.h - a time zone of the tz database as core's table of offsets. */
#pragma once

#include "config/memory.h"
#include "core/window.h"

/* Is it the name of a zone in the tz database (under $TZDIR, else /usr/share/zoneinfo)?  "UTC" needs no database. */
bool zone_exists(struct text name);
/* The offsets from two years before now_s to twelve after.  Uses TZ and tzset, so: control thread only; TZ is as before
 * afterwards.  The zone must exist.  ST_OK or ST_NOMEM. */
MUST_CHECK enum status zone_build(const char *name, int64_t now_s, struct config_memory *memory,
                                  struct zone *out);
/* The same zone for all that name it in one generation; it must exist. */
MUST_CHECK enum status zone_take(struct text name, int64_t now_s, struct config_memory *memory,
                                 const struct zone **out);
