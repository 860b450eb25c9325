/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_table.c - subjects, rows and holds in memory.      Runs on: any thread, under the store's lock.
 * A subject counts the images of every hold that has a charge of it, once.  What is not needed is forgotten in the order
 * of a clock's hand: whoever was used since it last came by is left for the next round. */

#include "quota/ledger_table.h"

#include <stdlib.h>
#include <string.h>

static struct text key_of_subject(const struct map_node *node)
{
    const struct ledger_subject *subject =
        (const struct ledger_subject *)(const void *)node; /* its first member */

    return (struct text){(const char *)subject->digest.bytes, sizeof(subject->digest.bytes)};
}

static struct text key_of_hold(const struct map_node *node)
{
    const struct ledger_hold *held = (const struct ledger_hold *)(const void *)node; /* likewise */

    return (struct text){(const char *)&held->hold.id, sizeof(held->hold.id)};
}

static void init_changes(struct ledger_changes *changes)
{
    list_init(&changes->rows);
    list_init(&changes->holds);
}

enum status table_init(struct ledger *ledger, struct embedded_db *db, size_t subjects_most)
{
    enum status st = map_init(&ledger->subjects_by_digest, key_of_subject);

    if (st)
        return st;
    st = map_init(&ledger->holds_by_id, key_of_hold);
    if (st) {
        map_fini(&ledger->subjects_by_digest);
        return st;
    }
    ledger->db = db;
    ledger->subjects_most = subjects_most;
    ledger->dropped_before_s = INT64_MIN;
    list_init(&ledger->subjects);
    list_init(&ledger->live);
    list_init(&ledger->marks);
    init_changes(&ledger->unlogged);
    init_changes(&ledger->logged);
    init_changes(&ledger->syncing);
    for (int i = 0; i < LEDGER_PARTS; i++) {
        list_init(&ledger->unsaved[i]);
        list_init(&ledger->saving[i]);
    }
    list_init(&ledger->in_slice);
    for (int i = 0; i <= LIMITS_MAX; i++)
        list_init(&ledger->spare_holds[i]);
    return ST_OK;
}

static void forget_row(struct ledger_row *row)
{
    list_remove(&row->undurable);
    list_remove(&row->unsaved);
    free(row);
}

static void forget_subject(struct ledger *ledger, struct ledger_subject *subject)
{
    while (subject->rows) {
        struct ledger_row *row = subject->rows;

        subject->rows = row->next;
        forget_row(row);
    }
    map_remove(&ledger->subjects_by_digest, &subject->node);
    list_remove(&subject->link);
    free(subject);
}

static void free_live(struct list *holds)
{
    LIST_EACH (node, holds) {
        struct ledger_hold *held = container_of(node, struct ledger_hold, order);

        list_remove(&held->undurable);
        free(held);
    }
}

/* Those that are linked by undurable alone. */
static void free_others(struct list *holds)
{
    LIST_EACH (node, holds)
        free(container_of(node, struct ledger_hold, undurable));
}

void table_fini(struct ledger *ledger)
{
    free_live(&ledger->live);
    free_live(&ledger->marks);
    free_others(&ledger->unlogged.holds); /* ended */
    free_others(&ledger->logged.holds);
    free_others(&ledger->syncing.holds);
    for (int i = 0; i <= LIMITS_MAX; i++)
        free_others(&ledger->spare_holds[i]);
    LIST_EACH (node, &ledger->subjects)
        forget_subject(ledger, container_of(node, struct ledger_subject, link));
    map_fini(&ledger->holds_by_id);
    map_fini(&ledger->subjects_by_digest);
}

/* --- subjects --- */

static bool is_changed(const struct ledger_row *row)
{
    return !list_is_empty(&row->undurable) || !list_is_empty(&row->unsaved);
}

static bool is_needed(const struct ledger_subject *subject)
{
    if (subject->is_used || subject->in_flight > 0)
        return true;
    for (const struct ledger_row *row = subject->rows; row; row = row->next)
        if (is_changed(row))
            return true;
    return false;
}

/* Rows that ended long ago. */
static void drop_old(const struct ledger *ledger, struct ledger_subject *subject)
{
    struct ledger_row **link = &subject->rows;

    while (*link) {
        struct ledger_row *row = *link;

        if (row->until_s >= ledger->dropped_before_s || is_changed(row)) {
            link = &row->next;
            continue;
        }
        *link = row->next;
        forget_row(row);
    }
}

void table_tidy(struct ledger *ledger, int looks)
{
    for (int i = 0; i < looks && !list_is_empty(&ledger->subjects); i++) {
        struct ledger_subject *subject =
            container_of(ledger->subjects.next, struct ledger_subject, link);

        drop_old(ledger, subject);
        if (!is_needed(subject) &&
            (!subject->rows || ledger->subjects_by_digest.len > ledger->subjects_most)) {
            forget_subject(ledger, subject);
            continue;
        }
        subject->is_used = false;
        list_remove(&subject->link);
        list_push_back(&ledger->subjects, &subject->link);
    }
}

static struct ledger_subject *add_subject(struct ledger *ledger,
                                          const struct account_digest *digest)
{
    struct ledger_subject *subject = calloc(1, sizeof(*subject));

    if (!subject)
        return NULL;
    subject->digest = *digest;
    map_insert(&ledger->subjects_by_digest, &subject->node);
    list_push_back(&ledger->subjects, &subject->link);
    return subject;
}

struct ledger_subject *table_subject(struct ledger *ledger, const struct account_digest *digest)
{
    struct text key = {(const char *)digest->bytes, sizeof(digest->bytes)};
    struct map_node *node = map_find(&ledger->subjects_by_digest, key);
    struct ledger_subject *subject =
        node ? container_of(node, struct ledger_subject, node) : add_subject(ledger, digest);

    if (subject)
        subject->is_used = true;
    return subject;
}

/* --- rows --- */

size_t ledger_row_size(uint8_t kind)
{
    return kind == LIMIT_ROLLING ? sizeof(struct rolling) : sizeof(int64_t);
}

static struct ledger_row *load(struct ledger *ledger, struct ledger_subject *subject,
                               const struct charge *charge, int64_t until_s)
{
    size_t size = ledger_row_size((uint8_t)charge->kind);
    struct row_key key = row_key(&charge->subject, charge->kind, charge->measure, until_s);
    struct ledger_row *row = calloc(1, sizeof(*row) + size);

    if (!row)
        return NULL;
    if (db_read(ledger->db, &key, row->values, size, &row->exists) != ST_OK) {
        free(row);
        return NULL;
    }
    row->subject = subject;
    row->until_s = until_s;
    row->kind = (uint8_t)charge->kind;
    row->measure = (uint8_t)charge->measure;
    list_init(&row->undurable);
    list_init(&row->unsaved);
    row->next = subject->rows;
    subject->rows = row;
    return row;
}

struct ledger_row *table_row(struct ledger *ledger, struct ledger_subject *subject,
                             const struct charge *charge, int64_t until_s)
{
    for (struct ledger_row *row = subject->rows; row; row = row->next)
        if (row->until_s == until_s && row->kind == charge->kind && row->measure == charge->measure)
            return row;
    return load(ledger, subject, charge, until_s);
}

void ledger_row_read(const struct ledger_row *row, struct row *out)
{
    if (row->kind == LIMIT_ROLLING)
        memcpy(&out->rolling, row->values, sizeof(out->rolling));
    else
        out->number = row->values[0];
}

void ledger_row_write(struct ledger *ledger, struct ledger_row *row, const struct row *value)
{
    if (row->kind == LIMIT_ROLLING)
        memcpy(row->values, &value->rolling, sizeof(value->rolling));
    else
        row->values[0] = value->number;
    row->exists = true;
    list_remove(&row->undurable);
    list_push_back(&ledger->unlogged.rows, &row->undurable);
    if (!list_is_empty(&row->unsaved) && !row->is_in_slice)
        return;
    row->is_in_slice = false;
    list_remove(&row->unsaved);
    list_push_back(&ledger->unsaved[row->subject->digest.bytes[0]], &row->unsaved);
}

/* --- holds --- */

struct ledger_hold *table_hold(const struct ledger *ledger, uint64_t id)
{
    struct map_node *node =
        map_find(&ledger->holds_by_id, (struct text){(const char *)&id, sizeof(id)});

    return node ? container_of(node, struct ledger_hold, node) : NULL;
}

static struct ledger_hold *allocate_hold(uint32_t charges_len)
{
    size_t head = offsetof(struct ledger_hold, hold.charges);
    size_t charges = charges_len * sizeof(struct charge);
    struct ledger_hold *held =
        malloc(head + charges + charges_len * sizeof(struct ledger_subject *));

    if (held)
        held->subjects = (struct ledger_subject **)(void *)((unsigned char *)held + head + charges);
    return held;
}

static struct ledger_hold *new_hold(struct ledger *ledger, const struct hold *hold)
{
    struct list *spare = list_pop_front(&ledger->spare_holds[hold->charges_len]);
    struct ledger_hold *held = spare ? container_of(spare, struct ledger_hold, undurable)
                                     : allocate_hold(hold->charges_len);

    if (!held)
        return NULL;
    held->is_ended = false;
    held->is_logged = false;
    list_init(&held->order);
    list_init(&held->undurable);
    memcpy(&held->hold, hold,
           offsetof(struct hold, charges) + hold->charges_len * sizeof(struct charge));
    return held;
}

/* Has an earlier charge this subject, too? */
static bool is_repeated(const struct ledger_hold *held, uint32_t charge)
{
    for (uint32_t i = 0; i < charge; i++)
        if (held->subjects[i] == held->subjects[charge])
            return true;
    return false;
}

static void add_in_flight(struct ledger_hold *held, int64_t images)
{
    for (uint32_t i = 0; i < held->hold.charges_len; i++)
        if (!is_repeated(held, i))
            held->subjects[i]->in_flight += images;
}

static bool find_subjects(struct ledger *ledger, struct ledger_hold *held)
{
    for (uint32_t i = 0; i < held->hold.charges_len; i++) {
        held->subjects[i] = table_subject(ledger, &held->hold.charges[i].subject);
        if (!held->subjects[i])
            return false;
    }
    return true;
}

struct ledger_hold *table_hold_add(struct ledger *ledger, const struct hold *hold)
{
    struct ledger_hold *held = new_hold(ledger, hold);

    if (!held)
        return NULL;
    if (!find_subjects(ledger, held)) {
        table_hold_free(ledger, held);
        return NULL;
    }
    add_in_flight(held, hold->images);
    map_insert(&ledger->holds_by_id, &held->node);
    list_push_back(hold->images > 0 ? &ledger->live : &ledger->marks, &held->order);
    table_hold_changed(ledger, held);
    return held;
}

void table_hold_changed(struct ledger *ledger, struct ledger_hold *held)
{
    list_remove(&held->undurable);
    list_push_back(&ledger->unlogged.holds, &held->undurable);
}

void table_hold_end(struct ledger *ledger, struct ledger_hold *held)
{
    add_in_flight(held, -held->hold.images);
    map_remove(&ledger->holds_by_id, &held->node);
    list_remove(&held->order);
    held->is_ended = true;
    if (held->is_logged)
        table_hold_changed(ledger, held);
    else
        table_hold_free(ledger, held);
}

void table_hold_free(struct ledger *ledger, struct ledger_hold *held)
{
    list_remove(&held->undurable);
    list_push_front(&ledger->spare_holds[held->hold.charges_len], &held->undurable);
}
