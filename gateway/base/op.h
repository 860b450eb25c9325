/* SPDX-License-Identifier: Apache-2.0 */
/* op.h - one wait.  The only way in which anything finishes later. */
#pragma once

#include "base/status.h"

/* One wait, embedded in its owner, zeroed at first, never allocated alone.  A start function returns its status, or
 * ST_PENDING; after ST_PENDING done() is called once, from the loop, never inside the start call.  After op_cancel() it
 * is not called. */
struct op {
    void (*done)(struct op *op, enum status st); /* set by the owner */
    void (*cancel)(struct op *op);               /* set by the callee while pending, else NULL */
    void *callee;                                /* the callee's own: whom cancel() is about */
};

static inline bool op_is_pending(const struct op *op)
{
    return op->cancel != NULL;
}

/* For the callee: the wait is over.  The owner may start the op again from within done(). */
static inline void op_done(struct op *op, enum status st)
{
    op->cancel = NULL;
    op->done(op, st);
}

/* For the owner: forget the wait.  Harmless when nothing is pending. */
static inline void op_cancel(struct op *op)
{
    void (*cancel)(struct op * op) = op->cancel;

    op->cancel = NULL;
    if (cancel)
        cancel(op);
}
