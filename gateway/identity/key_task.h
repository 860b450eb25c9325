/* SPDX-License-Identifier: Apache-2.0 */
/* key_task.h - what operators do with a keystore: add, list, revoke.
 *
 * A task is some commands to Redis in turn; each may be done twice, so whatever breaks off is made whole by doing it again.
 * One whose asker has left goes on to its end. */
#pragma once

#include "identity/keystore.h"

struct key_row {
    unsigned char sha256[KEY_SHA256_LEN];
    struct key_record record;
};

#define KEY_CURSOR_MAX (2 * KEY_SHA256_LEN)

/* Zeroed before a task; key_answer_free() after it. */
struct key_answer {
    int len, size;
    struct key_row *rows;            /* owned: what was added, listed, or revoked */
    char cursor[KEY_CURSOR_MAX + 1]; /* of a list: where it goes on; "": it is whole */
};
void key_answer_free(struct key_answer *answer);

/* All: ST_PENDING, then what is said here; *out is written with ST_OK, and in ST_REFUSED's case.
 * ST_UNAVAILABLE: Redis is down or slow, part of it may have been done; ST_NOMEM. */

/* Adds a key, or changes what is kept of it; the team and zone are those of the account's other keys, since its quota would
 * be counted in two places otherwise.  ST_REFUSED: record names others. */
MUST_CHECK enum status key_task_add(struct keys *keys, const unsigned char sha256[KEY_SHA256_LEN],
                                    const struct key_record *record, struct key_answer *out,
                                    struct op *op);

/* At least so many where there are as many; all keys (account ""), in the order of their SHA-256s' beginnings, or one
 * account's.  cursor: "" or an earlier answer's, of the same list. */
struct key_list_terms {
    const char *account;
    const char *cursor;
    int len;
};
MUST_CHECK enum status key_task_list(struct keys *keys, const struct key_list_terms *terms,
                                     struct key_answer *out, struct op *op);

/* The one key whose SHA-256 begins with these lower-case hex digits, KEY_ID_DIGITS or more.  ST_CLOSED: none;
 * ST_LIMIT: several. */
MUST_CHECK enum status key_task_revoke(struct keys *keys, const char *digits,
                                       struct key_answer *out, struct op *op);
/* All keys of an account. */
MUST_CHECK enum status key_task_revoke_account(struct keys *keys, const char *account,
                                               struct key_answer *out, struct op *op);
