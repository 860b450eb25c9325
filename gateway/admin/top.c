/* SPDX-License-Identifier: Apache-2.0 */
/* top.c - the workers' sketches, collected on demand.      Runs on: control thread, but for top_add() and copy().
 * A collection is one letter to each worker, which copies what was asked for and sends the letter back.  The last one that
 * returns ends it; a cancelled one ends as quietly.  No memory is shared: a letter has one holder at a time. */
#include "admin/top.h"

#include <stdlib.h>
#include <string.h>

struct letter {
    struct mail mail;
    struct collection *of;
    int worker;
    bool is_short_of_memory;
};

struct collection {
    struct top *top;
    struct op *op; /* NULL: cancelled */
    struct top_list *out;
    int64_t day;
    char id[ACCOUNT_ID_MAX + 1]; /* "": any */
    int limit;
    int awaited;
    struct top_list *found; /* owned, a worker's each: copies of what is wanted */
    struct letter letters[];
};

struct top {
    struct mailbox *box; /* owned; of the control thread */
    struct mailbox *const *boxes;
    int workers;
    struct top_sketch *sketches; /* owned; each is its worker's */
};

/* --- letters ------------------------------------------------------------------------------------------------------------ */

static void collection_free(struct collection *c)
{
    for (int i = 0; i < c->top->workers; i++)
        top_list_free(&c->found[i]);
    free(c->found);
    free(c);
}

static void end_collection(struct collection *c)
{
    struct op *op = c->op;
    enum status st = ST_OK;

    for (int i = 0; i < c->top->workers; i++) {
        if (c->letters[i].is_short_of_memory)
            st = ST_NOMEM;
    }
    if (op && st == ST_OK)
        st = top_list_merge(c->found, c->top->workers, c->limit, c->out);
    collection_free(c);
    if (op)
        op_done(op, st);
}

static void on_returned(struct mail *mail)
{
    struct collection *c = container_of(mail, struct letter, mail)->of;

    c->awaited--;
    if (c->awaited == 0)
        end_collection(c);
}

static bool is_wanted(const struct collection *c, const struct top_entry *entry)
{
    return c->id[0] ? strcmp(c->id, entry->account.id) == 0 : entry->images > 0;
}

/* Runs on: the letter's worker. */
static void copy(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct collection *c = letter->of;
    const struct top_sketch *sketch = &c->top->sketches[letter->worker];
    struct top_list *found = &c->found[letter->worker];

    found->least = top_sketch_least(sketch, c->day);
    found->entries = malloc((size_t)(sketch->len + 1) * sizeof(*found->entries));
    letter->is_short_of_memory = !found->entries;
    for (int i = 0; found->entries && i < sketch->len; i++) {
        struct top_entry entry = top_sketch_entry(sketch, i);

        if (sketch->day != c->day) {
            entry.images = 0;
            entry.error = 0;
        }
        if (is_wanted(c, &entry))
            found->entries[found->len++] = entry;
    }
    letter->mail.deliver = on_returned;
    mailbox_post(c->top->box, &letter->mail);
}

static void on_cancel(struct op *op)
{
    struct collection *c = op->callee;

    c->op = NULL;
}

enum status top_collect(struct top *top, int64_t day, struct text id, int limit,
                        struct top_list *out, struct op *op)
{
    size_t size = sizeof(struct collection) + (size_t)top->workers * sizeof(struct letter);
    struct collection *c = calloc(1, size);

    if (!c)
        return ST_NOMEM;
    c->found = calloc((size_t)top->workers, sizeof(*c->found));
    if (!c->found) {
        free(c);
        return ST_NOMEM;
    }
    c->top = top;
    c->op = op;
    c->out = out;
    c->day = day;
    c->limit = limit;
    c->awaited = top->workers;
    if (id.len && id.len <= ACCOUNT_ID_MAX)
        memcpy(c->id, id.ptr, id.len);
    op->cancel = on_cancel;
    op->callee = c;
    for (int i = 0; i < top->workers; i++) {
        c->letters[i].of = c;
        c->letters[i].worker = i;
        c->letters[i].mail.deliver = copy;
        mailbox_post(top->boxes[i], &c->letters[i].mail);
    }
    return ST_PENDING;
}

/* --- the process's ------------------------------------------------------------------------------------------------------ */

enum status top_open(struct loop *loop, struct mailbox *const *boxes, int workers, struct top **out)
{
    struct top *top = calloc(1, sizeof(*top));
    enum status st = ST_NOMEM;

    if (!top)
        return ST_NOMEM;
    top->boxes = boxes;
    top->sketches = calloc((size_t)workers, sizeof(*top->sketches));
    if (top->sketches)
        st = mailbox_new(loop, &top->box);
    for (; st == ST_OK && top->workers < workers; top->workers++) {
        st = top_sketch_init(&top->sketches[top->workers]);
        if (st)
            break;
    }
    if (st)
        top_close(&top);
    else
        *out = top;
    return st;
}

void top_close(struct top **where)
{
    struct top *top = *where;

    if (!top)
        return;
    *where = NULL;
    if (top->box)
        mailbox_free(&top->box);
    for (int i = 0; i < top->workers; i++)
        top_sketch_fini(&top->sketches[i]);
    free(top->sketches);
    free(top);
}

void top_add(struct top *top, int worker, const struct account *account, int generation,
             int64_t images, int64_t day)
{
    top_sketch_add(&top->sketches[worker], account, generation, images, day);
}
