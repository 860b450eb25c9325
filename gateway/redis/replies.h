/* SPDX-License-Identifier: Apache-2.0 */
/* replies.h - the replies in a stream of bytes from Redis (RESP2), one after the other, however the bytes were cut.
 * hiredis reads them; but most are whole numbers, or a list of them, which need no reader while it has nothing in hand, and
 * no memory. */
#pragma once

#include <hiredis/hiredis.h>

#include "base/status.h"

/* Of a list that needs no reader. */
#define REDIS_NUMBERS_MAX 64

struct redis_replies {
    redisReader *reader; /* owned; NULL: closed */
    const char *bytes;   /* given, and not yet read; lent */
    size_t len;
    redisReply plain; /* the last reply, where it needed no reader; its elements are the next */
    redisReply *elements[REDIS_NUMBERS_MAX];
    redisReply numbers[REDIS_NUMBERS_MAX];
};

/* ST_NOMEM or ST_OK. */
MUST_CHECK enum status redis_replies_open(struct redis_replies *replies);
/* Harmless when closed. */
void redis_replies_close(struct redis_replies *replies);
/* Lent until all is read: what was given before was. */
void redis_replies_give(struct redis_replies *replies, const char *bytes, size_t len);
/* The next reply, to be freed by redis_replies_free().  ST_PENDING: that was all; ST_INVALID: this is none, or ST_NOMEM:
 * nothing more can be read. */
MUST_CHECK enum status redis_replies_next(struct redis_replies *replies, redisReply **out);
/* Also after they were closed. */
void redis_replies_free(struct redis_replies *replies, redisReply *reply);
