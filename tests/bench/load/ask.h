/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - the bytes of a request: made once, of which only the account's number changes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define ASK_BYTES_MAX 16384

struct ask {
    char bytes[ASK_BYTES_MAX];
    size_t len;
    size_t digits_at; /* of the account's number, eight of them */
};

/* False: it does not fit. */
bool ask_init(struct ask *ask, const struct options *options);
void ask_set_account(struct ask *ask, int64_t account);
