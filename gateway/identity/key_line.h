/* SPDX-License-Identifier: Apache-2.0 */
/* key_line.h - a thread's line to the Redis of a keystore: single commands, each carried on over links that break and slots
 * that move until it is answered, or nobody need wait any more.  All that it carries may be done twice. */
#pragma once

#include "redis/route.h"

struct key_line;

/* One command, embedded in its owner; zeroed at first. */
struct key_call {
    struct redis_call redis;
    struct key_line *line;
    struct list link; /* in line->parked or line->sent */
    uint32_t bucket;
    bool is_sent, is_redirected;
    bool is_late; /* late() was called */
    /* Writes the command, once each time that it is sent. */
    void (*write)(struct key_call *call, struct redis_link *link);
    /* Redis is too slow, or was lost: nobody need wait.  done() follows. */
    void (*late)(struct key_call *call);
    /* The reply, no error, valid during the call; NULL: there will be none, and whether it was done is not known.  The
     * call is the owner's again. */
    void (*done)(struct key_call *call, const redisReply *reply);
};

struct key_line {
    struct loop *loop;
    struct redis_route route;
    void (*ready)(struct key_line *line); /* a link came up; set by the owner */
    struct list parked, sent;
    bool is_closing;
    int64_t complained_us;
};

MUST_CHECK enum status key_line_open(struct key_line *line, struct loop *loop,
                                     const struct redis_target *target);
/* All calls are done. */
void key_line_close(struct key_line *line);

/* ST_PENDING; ST_UNAVAILABLE at once where Redis is known to be down, and nothing is done. */
MUST_CHECK enum status key_call_start(struct key_line *line, struct key_call *call,
                                      uint32_t bucket);
/* Somebody waits for it again, who came later: likewise. */
MUST_CHECK enum status key_call_join(struct key_call *call);
