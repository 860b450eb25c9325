/* SPDX-License-Identifier: Apache-2.0 */
/* link.h - one pipelined connection to one Redis, a worker's own, kept up for as long as it is open.
 *
 *   waiting --> connecting --> greeting --> up --> (lost) waiting ...
 *
 * Connecting looks the host's name up anew each time, connects, and shakes hands over TLS where that is wanted.  A greeting
 * is AUTH, SELECT, the scripts, a check that writes are taken, and TIME.  What is called in one turn of the loop leaves in
 * one write at its end; replies come in order.  Those that nobody waits for do not wake the thread: they are read along
 * with the next that somebody waits for, or some milliseconds late.  What can ride is held in the kernel until the next
 * command pushes it, or for some milliseconds: one write, and one wake-up of Redis, for both.
 *
 * A link that breaks is connected anew at once; when that fails too, the breaker opens: callers are told so without waiting,
 * and the link tries again by itself, less and less often, at least once a second.  It opens, too, once a call has had no
 * reply, or a link has not been up, for the timeout: so nobody waits longer, however long connecting takes.  While this
 * thread itself stands still, the time of a call does too: it may not even have been sent.  What is on its
 * way to a Redis that is slow stays on its way, for a second: the first reply closes the breaker. */
#pragma once

#include "core/breaker.h"
#include "redis/replies.h"
#include "redis/target.h"

/* One command on its way, embedded in its owner.  Zeroed at first. */
struct redis_call {
    struct list link;
    struct redis_link *of;
    int64_t queued_us;
    int64_t stood_us; /* the link's, then */
    uint64_t end;     /* its last byte, counted from the connection's first */
    int replies_left; /* that come before its own, and are dropped */
    /* Set before redis_link_end().  wait: nobody waits for the reply; ride: Redis need not have it at once, so it may leave
     * with the next that cannot ride, or some milliseconds later. */
    bool can_wait, can_ride;
    /* Of a call that waits for the turn's write: redis_link_later(). */
    void (*put)(struct redis_call *call);
    /* All of it was handed to the kernel, which delivers it even if this process dies.  May be NULL. */
    void (*written)(struct redis_call *call);
    /* The reply, valid during the call; NULL: the link was lost, and whether Redis did it is not known. */
    void (*done)(struct redis_call *call, const redisReply *reply);
    /* route.c's, over all the times that it is sent. */
    struct redis_link
        *ask; /* the next time it goes there, which is asked for a slot that is being moved to it */
    int redirects;
    int64_t refused_us; /* since when it finds nobody; 0: it does */
};

enum redis_link_state { LINK_CLOSED, LINK_WAITING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

#define GREETINGS_MAX (REDIS_SCRIPTS_MAX + 6)

/* After so long, replies are looked for that have not woken the thread. */
#define REDIS_LINGER_US INT64_C(5000)

struct redis_link {
    struct loop *loop;
    const struct redis_target *target;
    struct redis_place place; /* where it connects; not known: it waits for one */
    int probe_bucket; /* >= 0: the check for writes is made in that bucket, whose slot is there */
    /* Set by the owner before redis_link_open().  synced: clock_offset_us was taken anew, which also comes before each
     * up.  up: calls are possible from now on.  lost: an attempt, or the link, ended, and every call was answered
     * with NULL before; or the breaker has opened, and calls may be on their way.  Any may close the link, and free it at the turn's end. */
    void (*synced)(struct redis_link *link);
    void (*up)(struct redis_link *link);
    void (*lost)(struct redis_link *link);

    /* Read by the owner while up. */
    int64_t clock_offset_us; /* Redis TIME less loop_now_us() */

    enum redis_link_state state;
    struct stream stream;
    struct op connected; /* the lookup, then the connection */
    struct address address;
    struct redis_replies replies; /* open while it is connected */
    struct breaker breaker;
    int64_t backoff_us;
    int64_t look_us;     /* when the calls that are out are looked at next */
    int64_t stood_us;    /* for so long in all, this thread has stood still while calls were out */
    bool is_down_said;   /* in the log */
    bool is_policy_said; /* likewise */
    struct timer
        deadline; /* of the oldest call, or of the attempt; while waiting: the next attempt */
    struct timer patience; /* while it is not up: then the breaker opens */
    struct timer sync;     /* the next TIME */
    struct turn_hook flush;
    struct list later;     /* calls whose command is put together when the turn is written */
    struct list calls;     /* replies are due, oldest first */
    int awaited;           /* of them, those that cannot wait */
    int wake_bytes;        /* fewer bytes of replies do not wake this thread */
    struct list *to_write; /* the first of calls that is not written whole; calls itself: none */
    char *out;             /* owned; bytes not yet written begin at out_from */
    size_t out_from, out_len, out_size;
    int replies_to_drop;   /* before that of the command which is being written */
    bool is_out_of_memory; /* part of a command is missing: the link must break */
    bool must_push;        /* among what is to be written there is what cannot ride */
    uint64_t written_bytes;
    uint64_t pushed_bytes; /* of them; the kernel holds the others */
    struct redis_call greetings[GREETINGS_MAX];
    int greetings_len;
    struct redis_call time;
    uint64_t scripts_loaded_turn; /* in which they were last sent anew */
    struct redis_call reload[REDIS_SCRIPTS_MAX];
    struct list unreplicated; /* calls that the next WAIT is for */
    struct list replicating;  /* calls that the present one is for */
    struct redis_call wait;
    int64_t complained_us; /* of replicas that are missing */
};

/* Starts to connect, if the place is known. */
void redis_link_open(struct redis_link *link, struct loop *loop, const struct redis_target *target,
                     const struct redis_place *place);
/* From now on it connects there.  move: at once, if it is elsewhere now; aim: the next time. */
void redis_link_move(struct redis_link *link, const struct redis_place *place);
void redis_link_aim(struct redis_link *link, const struct redis_place *place);
bool redis_link_is_up(const struct redis_link *link);
/* Down, and waiting for it is no use. */
bool redis_link_is_refusing(const struct redis_link *link);

/* A command of so many arguments, then each of them, then what is to become of it.  Only while up. */
void redis_link_begin(struct redis_link *link, int args);
void redis_link_arg(struct redis_link *link, struct text arg);
void redis_link_arg_int(struct redis_link *link, int64_t arg);
void redis_link_end(struct redis_link *link, struct redis_call *call);
/* Or all of it at once, in the form of wire.h: room for so many bytes (NULL: no memory, and then the link breaks by
 * itself), then where those that were put end. */
char *redis_link_room(struct redis_link *link, size_t len);
void redis_link_took(struct redis_link *link, const char *end);
/* Instead: put() does that when the turn is over, behind all others'.  Only while up. */
void redis_link_later(struct redis_link *link, struct redis_call *call);
/* Before redis_link_begin() of a call: ASKING, for a slot that is being moved there. */
void redis_link_ask(struct redis_link *link);

/* Calls back when so many replicas as target says have all that was written on this link so far, or will not in time:
 * the reply is how many have.  One WAIT at a time is for all who ask meanwhile.  Only while up. */
void redis_link_wait(struct redis_link *link, struct redis_call *call);

/* Sends the scripts again, once a turn: what is called after this finds them. */
void redis_link_load_scripts(struct redis_link *link);
/* Redis answers, but not so that it is of use: gives the link up and opens the breaker. */
void redis_link_give_up(struct redis_link *link, const char *why);
/* An error that says the store is down, not that this one command was wrong. */
bool redis_error_is_down(const char *error);

/* Between link.c, wire.c, greeting.c and wait.c: when calls are looked at; what is said first, and that it went well;
 * WAIT. */
void redis_link_look_at(struct redis_link *link, int64_t at_us);
void redis_greeting_init(struct redis_link *link);
void redis_greeting_send(struct redis_link *link);
void redis_link_greeted(struct redis_link *link);
void redis_wait_init(struct redis_link *link);
void redis_wait_send(struct redis_link *link);
void redis_wait_lost(struct redis_link *link);

/* All calls are answered with NULL.  Harmless when closed. */
void redis_link_close(struct redis_link *link);
