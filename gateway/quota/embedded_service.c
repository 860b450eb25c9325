/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_service.c - claims, to the store's thread and back.      Runs on: worker; the store's thread.
 * All claims of a turn are one write.  A claim outlives whoever made it: what nobody waits for any more stays leased. */

#include "quota/embedded_service.h"

#include <stdlib.h>

#include "quota/embedded.h"
#include "quota/service_rows.h"

struct embedded_service {
    struct service_rows *rows; /* owned */
    struct list batch;         /* claims that came, in order */
    struct turn_hook write_batch;
};

/* Belongs to whoever has it, but for the last part, which is the worker's. */
struct claim_mail {
    struct mail mail;
    struct embedded_quota *from; /* not changed while it lives */
    struct quota_claim claim;
    enum status st;
    struct list in_batch;

    struct op *op;             /* NULL: nobody waits */
    struct quota_claim *asked; /* then: lent by the caller */
    struct timer patience;
};

/* --- on the worker ---------------------------------------------------------------------------------------------------- */

static void forget(struct claim_mail *m)
{
    timer_clear(&m->patience);
    m->op = NULL;
}

static void wake(struct claim_mail *m, enum status st)
{
    struct op *op = m->op;

    forget(m);
    if (op)
        op_done(op, st);
}

static void cancel(struct op *op)
{
    forget(op->callee);
}

static void on_patience(struct timer *timer)
{
    wake(container_of(timer, struct claim_mail, patience), ST_UNAVAILABLE);
}

static void on_answer(struct mail *mail)
{
    struct claim_mail *m = container_of(mail, struct claim_mail, mail);

    m->from->outstanding--;
    if (m->op && m->st == ST_OK)
        *m->asked = m->claim;
    wake(m, m->st);
    free(m);
}

/* --- on the store's thread -------------------------------------------------------------------------------------------- */

static void answer(struct claim_mail *m, enum status written)
{
    list_remove(&m->in_batch);
    m->st = m->st ? m->st : written;
    m->mail.deliver = on_answer;
    mailbox_post(m->from->box, &m->mail);
}

static void on_turn_end(struct turn_hook *hook)
{
    struct embedded_service *service = container_of(hook, struct embedded_service, write_batch);
    enum status st = service_rows_write(service->rows);

    LIST_EACH (node, &service->batch)
        answer(container_of(node, struct claim_mail, in_batch), st);
}

static void on_claim(struct mail *mail)
{
    struct claim_mail *m = container_of(mail, struct claim_mail, mail);
    struct embedded_store *store = m->from->store;
    struct embedded_service *service = store->service;

    m->st = service_rows_claim(service->rows, &m->claim, loop_wall_us(store->loop) / 1000000);
    list_push_back(&service->batch, &m->in_batch);
    loop_at_turn_end(store->loop, &service->write_batch);
}

/* ---------------------------------------------------------------------------------------------------------------------- */

enum status embedded_claim(struct quota *q, struct quota_claim *claim, struct op *op)
{
    struct embedded_quota *eq = (struct embedded_quota *)q;
    struct claim_mail *m = calloc(1, sizeof(*m));

    if (!m)
        return ST_UNAVAILABLE;
    m->from = eq;
    m->claim = *claim;
    m->asked = claim;
    m->op = op;
    list_init(&m->in_batch);
    timer_init(&m->patience, on_patience);
    timer_set(q->loop, &m->patience, loop_now_us(q->loop) + eq->timeout_us);
    op->cancel = cancel;
    op->callee = m;
    eq->outstanding++;
    m->mail.deliver = on_claim;
    mailbox_post(eq->store->box, &m->mail);
    return ST_PENDING;
}

enum status embedded_service_open(const char *folder, struct text_out *error,
                                  struct embedded_service **out)
{
    struct embedded_service *service = calloc(1, sizeof(*service));
    enum status st;

    if (!service)
        return ST_NOMEM;
    list_init(&service->batch);
    turn_hook_init(&service->write_batch, on_turn_end);
    st = service_rows_open(folder, error, &service->rows);
    if (st) {
        free(service);
        return st;
    }
    *out = service;
    return ST_OK;
}

void embedded_service_close(struct embedded_service **where)
{
    struct embedded_service *service = *where;

    if (!service)
        return;
    *where = NULL;
    ASSERT(
        list_is_empty(&service->batch)); /* every worker waits for its answers before it closes */
    service_rows_close(&service->rows);
    free(service);
}
