/* SPDX-License-Identifier: Apache-2.0 */
/* redis_link.h - one pipelined connection to Redis, a worker's own, kept up for as long as it is open.
 *
 *   waiting --> connecting --> greeting --> up --> (lost) waiting ...
 *
 * A greeting is AUTH, SELECT, the scripts, a check that writes are taken, and TIME.  What is called in one turn of the
 * loop leaves in one write at its end; replies come in order.  A link that breaks is connected anew at once; when that
 * fails too, or Redis just does not answer, the breaker opens: callers are told so without waiting, and the link tries
 * again by itself, less and less often, at least once a second. */
#pragma once

#include <hiredis/hiredis.h>

#include "base/address.h"
#include "core/breaker.h"
#include "net/stream.h"
#include "quota/redis_scripts.h"

/* Where Redis is; outlives the links to it. */
struct redis_target {
    struct address address;
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    int db;
    int64_t timeout_us; /* to connect and greet; and from a call to its reply */
};

/* One command on its way, embedded in its owner. */
struct redis_call {
    struct list link;
    struct redis_link *of;
    int64_t queued_us;
    uint64_t end; /* its last byte, counted from the connection's first */
    /* All of it was handed to the kernel, which delivers it even if this process dies.  May be NULL. */
    void (*written)(struct redis_call *call);
    /* The reply, valid during the call; NULL: the link was lost, and whether Redis did it is not known. */
    void (*done)(struct redis_call *call, const redisReply *reply);
};

enum redis_link_state { LINK_CLOSED, LINK_WAITING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

#define GREETINGS_MAX 9

struct redis_link {
    struct loop *loop;
    const struct redis_target *target;
    /* Set by the owner before redis_link_open().  synced: clock_offset_us was taken anew, which also comes before each
     * up.  up: calls are possible from now on.  lost: an attempt, or the link, ended; every call was answered with NULL
     * before. */
    void (*synced)(struct redis_link *link);
    void (*up)(struct redis_link *link);
    void (*lost)(struct redis_link *link);

    /* Read by the owner while up. */
    struct redis_digests digests;
    int64_t clock_offset_us; /* Redis TIME less loop_now_us() */

    enum redis_link_state state;
    struct stream stream;
    struct op connected;
    redisReader *reader; /* owned; one a connection */
    struct breaker breaker;
    int64_t backoff_us;
    bool is_down_said;     /* in the log */
    struct timer deadline; /* of the oldest call; while waiting: the next attempt */
    struct timer sync;     /* the next TIME */
    struct turn_hook flush;
    struct list calls;     /* replies are due, oldest first */
    struct list *to_write; /* the first of calls that is not written whole; calls itself: none */
    char *out;             /* owned; bytes not yet written begin at out_from */
    size_t out_from, out_len, out_size;
    bool is_out_of_memory; /* part of a command is missing: the link must break */
    uint64_t written_bytes;
    struct redis_call greetings[GREETINGS_MAX];
    int greetings_len;
    struct redis_call time;
    uint64_t scripts_loaded_turn; /* in which they were last sent anew */
    struct redis_call reload[SCRIPTS];
};

/* Starts to connect.  ST_OK, or ST_UNAVAILABLE where OpenSSL lacks SHA-1. */
MUST_CHECK enum status redis_link_open(struct redis_link *link, struct loop *loop,
                                       const struct redis_target *target);
bool redis_link_is_up(const struct redis_link *link);
/* Down, and waiting for it is no use. */
bool redis_link_is_refusing(const struct redis_link *link);

/* A command of so many arguments, then each of them, then what is to become of it.  Only while up. */
void redis_link_begin(struct redis_link *link, int args);
void redis_link_arg(struct redis_link *link, struct text arg);
void redis_link_arg_int(struct redis_link *link, int64_t arg);
void redis_link_end(struct redis_link *link, struct redis_call *call);

/* Sends the scripts again, once a turn: what is called after this finds them. */
void redis_link_load_scripts(struct redis_link *link);
/* Redis answers, but not so that it is of use: gives the link up and opens the breaker. */
void redis_link_give_up(struct redis_link *link, const char *why);
/* An error that says the store is down, not that this one command was wrong. */
bool redis_error_is_down(const char *error);
/* Between redis_link.c and redis_greeting.c: what is said first, and that it went well. */
void redis_greeting_init(struct redis_link *link);
void redis_greeting_send(struct redis_link *link);
void redis_link_greeted(struct redis_link *link);

/* All calls are answered with NULL. */
void redis_link_close(struct redis_link *link);
