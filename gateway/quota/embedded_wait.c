/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_wait.c - those who wait until what was decided for them is in the log, or on the disk.      Runs on: worker.
 * Mostly that is the end of the same turn.  Otherwise the store's thread gives word after each sync. */

#include "quota/embedded.h"

#include <stdlib.h>

#include "base/log.h"

#define GIVE_UP_US INT64_C(5000000)
#define FIRST_SIZE 64

/* --- the list --- */

static struct embedded_wait *room(struct embedded_waits *waits)
{
    if (waits->len == waits->size) {
        size_t size = waits->size ? waits->size * 2 : FIRST_SIZE;
        struct embedded_wait *all = realloc(waits->all, size * sizeof(*all));

        if (!all)
            return NULL;
        waits->all = all;
        waits->size = size;
    }
    return &waits->all[waits->len++];
}

static void forget_op(struct embedded_waits *waits, const struct op *op)
{
    for (size_t i = 0; i < waits->len; i++)
        if (waits->all[i].op == op)
            waits->all[i].op = NULL;
}

/* What was decided goes on. */
static void cancel(struct op *op)
{
    struct embedded_quota *eq = op->callee;

    forget_op(&eq->waits, op);
    forget_op(&eq->telling, op);
}

enum status embedded_wait(struct embedded_quota *eq, const struct embedded_wait *wait)
{
    struct embedded_wait *mine = room(&eq->waits);

    if (!mine)
        return ST_UNAVAILABLE;
    *mine = *wait;
    wait->op->cancel = cancel;
    wait->op->callee = eq;
    return ST_OK;
}

/* --- telling --- */

static enum status when_down(struct embedded_quota *eq, const struct embedded_wait *wait)
{
    if (wait->is_question)
        return ST_UNAVAILABLE;
    if (loop_now_us(eq->base.loop) - wait->since_us < GIVE_UP_US)
        return ST_PENDING;
    log_event(LOG_ERROR, "quota_lost", "store=embedded what=charge why=\"the disk fails\"");
    return ST_UNAVAILABLE;
}

static enum status judge(struct embedded_quota *eq, const struct embedded_wait *wait)
{
    if (wait->until <= (wait->needs_sync ? 0 : eq->written) ||
        wait->until <= atomic_load(&eq->store->durable))
        return ST_OK;
    if (!atomic_load(&eq->store->is_up))
        return when_down(eq, wait);
    if (wait->is_question && loop_now_us(eq->base.loop) - wait->since_us >= eq->timeout_us)
        return ST_UNAVAILABLE;
    return ST_PENDING;
}

/* Without memory, which the list mostly has from before, nobody can wait. */
static void put_back(struct embedded_quota *eq, struct embedded_wait wait)
{
    struct embedded_wait *mine = room(&eq->waits);

    if (mine)
        *mine = wait;
    else if (wait.op)
        op_done(wait.op, ST_UNAVAILABLE);
}

/* Who is told may begin to wait for something else. */
static void look_through(struct embedded_quota *eq)
{
    struct embedded_waits telling = eq->waits;

    eq->waits = eq->telling;
    eq->telling = telling;
    for (size_t i = 0; i < eq->telling.len; i++) {
        struct embedded_wait *wait = &eq->telling.all[i];
        struct op *op = wait->op;
        enum status st = op ? judge(eq, wait) : ST_OK;

        wait->op = NULL;
        if (op && st == ST_PENDING)
            put_back(eq, (struct embedded_wait){op, wait->until, wait->since_us, wait->needs_sync,
                                                wait->is_question});
        else if (op)
            op_done(op, st);
    }
    eq->telling.len = 0;
}

static void want_word(struct embedded_quota *eq)
{
    int none = WORD_NONE;

    (void)atomic_compare_exchange_strong(&eq->word_state, &none, WORD_WANTED);
}

static void set_patience(struct embedded_quota *eq)
{
    for (size_t i = 0; i < eq->waits.len && !timer_is_set(&eq->patience); i++)
        if (eq->waits.all[i].is_question)
            timer_set(eq->base.loop, &eq->patience, eq->waits.all[i].since_us + eq->timeout_us);
}

/* Once more when word is wanted: it may have been given just before. */
void embedded_wait_tell(struct embedded_quota *eq)
{
    look_through(eq);
    if (eq->waits.len == 0)
        return;
    want_word(eq);
    look_through(eq);
    set_patience(eq);
}

static void on_word(struct mail *mail)
{
    struct embedded_quota *eq = container_of(mail, struct embedded_quota, word);

    atomic_store(&eq->word_state, WORD_NONE);
    embedded_wait_tell(eq);
}

static void on_patience(struct timer *timer)
{
    embedded_wait_tell(container_of(timer, struct embedded_quota, patience));
}

void embedded_wait_init(struct embedded_quota *eq)
{
    eq->word.deliver = on_word;
    atomic_init(&eq->word_state, WORD_NONE);
    timer_init(&eq->patience, on_patience);
}

void embedded_wait_fini(struct embedded_quota *eq)
{
    timer_clear(&eq->patience);
    free(eq->waits.all);
    free(eq->telling.all);
}
