/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - limits of the whole service: so many units a minute, hour or day, by all accounts together.
 *
 * Minutes and hours are those of store time; a day is a calendar day of the policy's zone.  Gateways lease shares of a
 * limit from the store, and what is leased counts as taken: so the sum never exceeds the limit. */
#pragma once

#include "core/cost.h"
#include "core/limit.h"

enum service_period { SERVICE_NONE, SERVICE_MINUTE, SERVICE_HOUR, SERVICE_DAY };

/* As written in a policy. */
struct service_rule {
    enum service_period period;
    enum limit_measure measure;
    int64_t units; /* >= 0 */
    bool is_dry_run;
};

/* A row is what counters are kept for: a period and a measure.  A policy has one rule a row at most. */
#define SERVICE_ROWS 6
int service_row(const struct service_rule *rule);
enum service_period service_row_period(int row);
enum limit_measure service_row_measure(int row);
/* "images_per_minute": in metrics, logs and the API. */
const char *service_row_name(int row);

struct window service_window(enum service_period period, const struct zone *zone, int64_t now_s);

/* What a store lets somebody have who has mine of a row, must have need and would like want (in all, need <= want).
 * leased: by all, mine among it.  Want up to mine gives the rest back.  What is needed is had as far as there is any;
 * what is only liked, in whole images or credits, and up to an eighth of what is left: so that those who work near the
 * end of a limit leave something for each other. */
int64_t service_grant(int64_t limit_units, int64_t leased_units, int64_t mine_units,
                      int64_t need_units, int64_t want_units);
