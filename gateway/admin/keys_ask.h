/* SPDX-License-Identifier: Apache-2.0 */
/* keys_ask.h - what is asked about keys, read from body and query, and what is answered, as JSON.  Pure. */
#pragma once

#include "admin/api_ask.h"
#include "identity/key_task.h"

/* A key to be added. */
struct keys_body {
    struct key_record record;
    bool has_sha256;
    unsigned char sha256[KEY_SHA256_LEN];
};
/* ST_OK, or ST_INVALID with why; that the configuration has the tier, team and zone is checked, too. */
MUST_CHECK enum status keys_read_body(struct text body, const struct config *config,
                                      struct keys_body *out, char why[API_WHY_MAX]);

struct keys_query {
    char account[ACCOUNT_ID_MAX + 1]; /* "": not said */
    char cursor[KEY_CURSOR_MAX + 1];
    int n;
};
MUST_CHECK enum status keys_read_query(struct text query, struct keys_query *out,
                                       char why[API_WHY_MAX]);

/* key: NULL where it is not told. */
void keys_print_added(struct admin_answer *out, const struct key_answer *answer, const char *key);
void keys_print_list(struct admin_answer *out, const struct key_answer *answer);
void keys_print_revoked(struct admin_answer *out, const struct key_answer *answer);
