/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.h - between the workers and the one thread that owns the embedded database.  Private to this folder.
 *
 *   worker                                    store's thread
 *   embedded.c: a request with copies  --->   embedded_store.c: all requests of a turn in one transaction, synced,
 *   of all that it needs               <---   then each request goes back with its answer
 *
 * A request belongs to whoever has it: it is posted, and not touched again until it returns. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "net/mailbox.h"
#include "quota/ledger.h"
#include "quota/store.h"

struct embedded_service;

struct embedded_store {
    struct quota_store base;
    struct embedded_service *service; /* owned; used by the thread alone once it runs */
    struct embedded_db *db;           /* owned; used by the thread alone once it runs */
    struct loop *loop;                /* owned; the thread's */
    struct mailbox *box;              /* owned; what the workers post to */
    pthread_t thread;
    struct mail stop;
    atomic_bool is_up; /* the last transaction went through.    write: the thread    read: all */
    /* The thread's own. */
    struct list batch; /* requests that came, in order */
    struct turn_hook write_batch;
    struct timer retry;
};

struct embedded_quota {
    struct quota base;
    struct embedded_store *store;
    struct mailbox *box; /* owned; what the thread posts answers to */
    int64_t timeout_us;
    int outstanding;       /* requests in the thread's hands */
    struct list waiting;   /* requests that somebody waits for, oldest first */
    struct timer patience; /* for the oldest reserve */
};

enum embedded_kind {
    EMBEDDED_NONE,
    EMBEDDED_RESERVE,
    EMBEDDED_COMMIT,
    EMBEDDED_SETTLE,
    EMBEDDED_RENEW,
    EMBEDDED_INSPECT,
    EMBEDDED_AMEND,
};

struct embedded_request {
    struct mail mail;
    struct embedded_quota *from; /* not changed while the request lives */

    /* The question. */
    enum embedded_kind kind;
    struct hold hold;
    int64_t used_images;        /* SETTLE */
    bool charges_if_gone;       /* SETTLE */
    struct quota_change change; /* AMEND */

    /* The answer. */
    enum status st;
    struct ledger_answer answer;              /* RESERVE */
    struct reserved_limit limits[LIMITS_MAX]; /* RESERVE, INSPECT, AMEND: also a question */

    /* The thread's own. */
    struct list in_batch;
    int64_t since_us;

    /* The worker's own. */
    struct list in_waiting;
    struct op *op;         /* NULL: nobody waits */
    unsigned amends;       /* RESERVE: quota_amends() when it was asked */
    struct reservation *r; /* lent by the caller while it waits for how its limits stand */
    int64_t deadline_us;
};

/* Somebody waits to learn how limits stand, and may be told that it is not known. */
static inline bool embedded_is_question(const struct embedded_request *request)
{
    return request->kind == EMBEDDED_RESERVE || request->kind == EMBEDDED_INSPECT ||
           request->kind == EMBEDDED_AMEND;
}

/* Takes the request to the store's thread; embedded_answered() gets it back, on the worker's. */
void embedded_ask(struct embedded_store *store, struct embedded_request *request);
void embedded_answered(struct mail *mail);

/* The worker's side; contract as quota_open(). */
MUST_CHECK enum status embedded_open(struct quota_store *store, struct loop *loop,
                                     const struct config *config, struct quota **out);
