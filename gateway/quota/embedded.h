/* SPDX-License-Identifier: Apache-2.0 */
/* embedded.h - the embedded store: what its workers and its thread share.  Private to this folder.
 *
 *   worker                                         store's thread
 *   embedded.c: decides in memory, at once
 *   end of the turn: embedded_write.c: what
 *   changed, by whomever, to the log with
 *   one write; then commits are on their way  -->  embedded_store.c: syncs a little later, or at once for those
 *   embedded_wait.c: who waits for more       <--  who wait for it; now and then embedded_save.c: to the database
 *
 * Two locks, taken in this order, beyond what threads share elsewhere.  Handed to a thread and back, a decision that takes
 * about a microsecond cost wake-ups and context switches on both sides, and a sync that its answer waited for: a request
 * took 1.63 x nginx's CPU, and takes 1.11 to 1.22 x this way (one core, 64 connections, a machine with other work).
 *   log     one write at a time, so that records are whole and in order; never held over a sync
 *   ledger  for as long as a decision takes; never held over a system call (but where the database's map grows) or a wait */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "net/mailbox.h"
#include "quota/embedded_log.h"
#include "quota/ledger.h"
#include "quota/old_rows.h"
#include "quota/store.h"

struct embedded_service;

/* Asks the store's thread for something; once is enough until it begins. */
struct embedded_call {
    struct mail mail;
    atomic_bool is_asked;
};

struct embedded_store {
    struct quota_store base;
    int64_t clock_offset_us;          /* store time less the monotonic clock */
    struct embedded_service *service; /* owned; its thread's */
    struct embedded_db *db;           /* owned; see there */
    struct loop *loop;                /* owned; the thread's */
    struct mailbox *box;              /* owned; what the workers post to */
    pthread_t thread;
    struct mail stop;
    struct embedded_call sync_later, sync_now;
    atomic_bool
        is_up; /* the last write and sync went through.  write: who has the log    read: all */
    atomic_ullong
        durable; /* records up to this number are.         write: the thread         read: all */

    pthread_mutex_t ledger_lock;
    struct ledger ledger;
    int64_t now_us;   /* store time of the last decision */
    uint64_t records; /* made of what changed */

    pthread_mutex_t log_lock;
    struct embedded_log *log;    /* owned */
    struct ledger_record record; /* the one that is written */
    struct list doors;
    bool has_failed; /* nothing is written until the thread has abandoned the segment */

    /* The thread's own. */
    struct turn_hook sync_on;
    struct timer sync;  /* set: a sync is due then */
    struct timer retry; /* set: the last one failed */
    int64_t synced_us;
    size_t log_most_bytes; /* then the database gets what it says */
    bool is_saving;
    uint64_t saving_epoch; /* once all is saved, the log begins with it */
    struct turn_hook save_on;
    struct timer save_again; /* set: the database failed */
    struct old_rows old;
    struct ledger_slice slice;
};

/* Whether the thread is to tell a door when it has synced, or failed to. */
enum embedded_word { WORD_NONE, WORD_WANTED, WORD_POSTED };

/* Somebody who waits until what was decided is written or durable. */
struct embedded_wait {
    struct op *op;    /* NULL: not any more */
    uint64_t until;   /* the record that says it */
    int64_t since_us; /* loop time */
    bool needs_sync;
    bool is_question; /* may be told that it is not known */
};

struct embedded_waits {
    struct embedded_wait *all; /* owned */
    size_t len, size;
};

struct embedded_quota {
    struct quota base;
    struct embedded_store *store;
    struct mailbox *box; /* owned; what the thread posts to */
    int64_t timeout_us;
    bool waits_for_sync; /* a commit is done when it is durable */
    struct turn_hook write;
    uint64_t written; /* all up to this record is in the log */
    struct embedded_waits waits;
    struct embedded_waits telling; /* being looked through */
    struct timer patience;         /* for the oldest question */
    int outstanding;               /* claims in the thread's hands */
    struct list in_doors;
    struct mail word;
    atomic_int word_state; /* enum embedded_word.  write: the door, the thread */
};

/* --- embedded_write.c: any thread --- */

/* For the ledger.  Returns the time of this decision, which is never before that of an earlier one. */
int64_t embedded_lock(struct embedded_store *store, int64_t now_us);
void embedded_unlock(struct embedded_store *store);
/* The record that says all that was decided so far, when there is one; under the lock. */
uint64_t embedded_record(const struct embedded_store *store);

/* Around what is said of the log, but embedded_log_sync(). */
void embedded_lock_log(struct embedded_store *store);
void embedded_unlock_log(struct embedded_store *store);
/* All that was decided before the call outlives this process when it returns ST_OK; out_written is the last record then.
 * ST_UNAVAILABLE: the thread has been asked to do better. */
MUST_CHECK enum status embedded_write(struct embedded_store *store, uint64_t *out_written);
void embedded_ask(struct embedded_store *store, struct embedded_call *call);
void embedded_call_init(struct embedded_call *call, void (*deliver)(struct mail *mail));

/* A door joins those that the thread tells of its syncs; none may be waited for when it leaves. */
void embedded_join(struct embedded_store *store, struct embedded_quota *door);
void embedded_leave(struct embedded_store *store, struct embedded_quota *door);

/* Writes all that changed and syncs it.  With a slice, fills that with what is to be saved next.  The thread's. */
MUST_CHECK enum status embedded_sync(struct embedded_store *store, struct ledger_slice *slice);

/* --- embedded_save.c: the store's thread --- */

/* All that changed until now goes to the database, and the log begins anew. */
void embedded_save_begins(struct embedded_store *store);
/* ST_OK: there may be more; ST_CLOSED: all is saved; ST_UNAVAILABLE. */
MUST_CHECK enum status embedded_save_some(struct embedded_store *store);
MUST_CHECK enum status embedded_save_all(struct embedded_store *store);

/* --- embedded_wait.c: a worker --- */

void embedded_wait_init(struct embedded_quota *eq);
/* The wait's op will be done; ST_UNAVAILABLE: there is no memory for that. */
MUST_CHECK enum status embedded_wait(struct embedded_quota *eq, const struct embedded_wait *wait);
/* Tells those who need not wait any longer. */
void embedded_wait_tell(struct embedded_quota *eq);
void embedded_wait_fini(struct embedded_quota *eq);

/* --- embedded.c --- */

/* The worker's side; contract as quota_open(). */
MUST_CHECK enum status embedded_open(struct quota_store *store, struct loop *loop,
                                     const struct config *config, struct quota **out);
