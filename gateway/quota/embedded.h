/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.h - between the workers and the one thread that owns the embedded store.  Private to this folder.
 *
 *   worker                                    store's thread
 *   embedded.c: a request with copies  --->   embedded_store.c: decides in memory, at once; then all that
 *   of all that it needs; those of a          changed goes to the log with one write and one sync
 *   turn in one mail                   <---   reserves go back before that, the rest after it
 *
 * A request belongs to whoever has it: it is posted, and not touched again until it returns. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "net/mailbox.h"
#include "quota/embedded_log.h"
#include "quota/ledger.h"
#include "quota/store.h"

struct embedded_service;

/* Requests on their way in one mail, which is the first one's. */
struct embedded_chain {
    struct embedded_request *first, *last;
};

struct embedded_store {
    struct quota_store base;
    struct embedded_db *db; /* owned */
    struct embedded_log
        *log; /* owned; this and what follows is used by the thread alone once it runs */
    struct ledger ledger;
    struct embedded_service *service; /* owned */
    struct ledger_record record;      /* the one that is written */
    struct loop *loop;                /* owned; the thread's */
    struct mailbox *box;              /* owned; what the workers post to */
    pthread_t thread;
    struct mail stop;
    atomic_bool is_up;       /* the last batch is durable.      write: the thread    read: all */
    int64_t clock_offset_us; /* store time less the monotonic clock */
    /* The thread's own. */
    struct list undurable; /* requests that were decided, in order */
    struct list due;       /* doors that have answers to get */
    struct turn_hook write_batch;
    struct timer retry;    /* set: the last write failed */
    size_t log_most_bytes; /* then the database gets what it says */
    bool is_saving;
    uint64_t saving_epoch; /* once all is saved, the log begins with it */
    struct turn_hook save_on;
    struct timer save_again; /* set: the database failed */
};

struct embedded_quota {
    struct quota base;
    struct embedded_store *store;
    struct mailbox *box; /* owned; what the thread posts answers to */
    int64_t timeout_us;
    struct embedded_chain asked; /* in this turn */
    struct turn_hook send;
    struct list spare;     /* requests that are not in use */
    int outstanding;       /* requests in the thread's hands */
    struct list waiting;   /* requests that somebody waits for, oldest first */
    struct timer patience; /* for the oldest reserve */
    /* The thread's own. */
    struct embedded_chain answered;
    struct list in_due;
};

enum embedded_kind {
    EMBEDDED_NONE,
    EMBEDDED_RESERVE,
    EMBEDDED_COMMIT,
    EMBEDDED_SETTLE,
    EMBEDDED_INSPECT,
    EMBEDDED_AMEND,
};

struct embedded_request {
    struct mail mail;              /* of the chain that it is the first of */
    struct embedded_request *next; /* of the chain */
    struct embedded_quota *from;   /* not changed while the request lives */

    /* The question.  Of arrays that are as long as there are limits, only so much is set. */
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
    struct list in_undurable;
    int64_t since_us;

    /* The worker's own. */
    struct list in_waiting; /* or in spare */
    struct op *op;          /* NULL: nobody waits */
    unsigned amends;        /* RESERVE: quota_amends() when it was asked */
    struct reservation *r;  /* lent by the caller while it waits for how its limits stand */
    int64_t deadline_us;
};

/* Somebody waits to learn how limits stand, and may be told that it is not known. */
static inline bool embedded_is_question(const struct embedded_request *request)
{
    return request->kind == EMBEDDED_RESERVE || request->kind == EMBEDDED_INSPECT ||
           request->kind == EMBEDDED_AMEND;
}

static inline void embedded_chain_add(struct embedded_chain *chain,
                                      struct embedded_request *request)
{
    request->next = NULL;
    if (chain->last)
        chain->last->next = request;
    else
        chain->first = request;
    chain->last = request;
}

/* Takes the requests to the store's thread; embedded_answered() gets each chain of answers, on the worker's. */
void embedded_ask(struct embedded_store *store, struct embedded_request *first);
void embedded_answered(struct mail *mail);

/* The worker's side; contract as quota_open(). */
MUST_CHECK enum status embedded_open(struct quota_store *store, struct loop *loop,
                                     const struct config *config, struct quota **out);
