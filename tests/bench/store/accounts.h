/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.h - accounts by number, and what they may have. */
#pragma once

#include "core/reservation.h"

struct plan {
    bool has_day, has_rate, has_flight;
    int64_t per_day; /* images */
};

/* "day", "day,rate", "day,rate,flight": false where it is none of those words. */
bool plan_parse(const char *words, struct plan *out);

/* As if an account's name had been hashed: any 128 bits are as likely as any other. */
struct account_digest account_of(int64_t number);
/* One image of that account's, with a fresh id. */
void reservation_of(struct reservation *r, const struct plan *plan, int64_t number);
