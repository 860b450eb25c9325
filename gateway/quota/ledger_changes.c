/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_changes.c - what changed: to the log, back from it, and to the database.      Runs on: any thread, under the
 * store's lock.
 * Every entry of a record sets what it names, so records may be read again, onto a database that has some of what they
 * say.  The database never learns what the log does not have. */

#include <stdlib.h>
#include <string.h>

#include "quota/ledger.h"

#define FIRST_SIZE  4096
#define SYNCED_MOST 256 /* a call */
#define DROP_MOST   512

enum entry { ENTRY_NONE, ENTRY_ROW, ENTRY_HOLD, ENTRY_END };

/* An entry begins with its kind; of a row: */
struct row_entry {
    uint8_t entry, kind, measure;
    uint8_t until_s[8], subject[sizeof(struct account_digest)];
};

/* --- to the log --- */

void ledger_record_fini(struct ledger_record *record)
{
    free(record->bytes);
    *record = (struct ledger_record){0};
}

static unsigned char *reserve_bytes(struct ledger_record *record, size_t len)
{
    size_t size = record->size ? record->size : FIRST_SIZE;

    while (size < record->len + len)
        size *= 2;
    if (size != record->size) {
        unsigned char *bytes = realloc(record->bytes, size);

        if (!bytes)
            return NULL;
        record->bytes = bytes;
        record->size = size;
    }
    record->len += len;
    return record->bytes + record->len - len;
}

static bool log_row(struct ledger_record *record, const struct ledger_row *row)
{
    size_t size = ledger_row_size(row->kind);
    unsigned char *to = reserve_bytes(record, sizeof(struct row_entry) + size);
    struct row_entry entry = {.entry = ENTRY_ROW, .kind = row->kind, .measure = row->measure};

    if (!to)
        return false;
    memcpy(entry.until_s, &row->until_s, sizeof(entry.until_s));
    memcpy(entry.subject, row->subject->digest.bytes, sizeof(entry.subject));
    memcpy(to, &entry, sizeof(entry));
    memcpy(to + sizeof(entry), row->values, size);
    return true;
}

static size_t hold_size(const struct hold *hold)
{
    return offsetof(struct hold, charges) + hold->charges_len * sizeof(struct charge);
}

static bool log_hold(struct ledger_record *record, struct ledger_hold *held)
{
    size_t size = held->is_ended ? sizeof(held->hold.id) : hold_size(&held->hold);
    unsigned char *to = reserve_bytes(record, 1 + size);

    if (!to)
        return false;
    *to = held->is_ended ? ENTRY_END : ENTRY_HOLD;
    memcpy(to + 1, &held->hold, size); /* begins with the id */
    held->is_logged = true;
    return true;
}

bool ledger_is_unlogged(const struct ledger *ledger)
{
    return !list_is_empty(&ledger->unlogged.rows) || !list_is_empty(&ledger->unlogged.holds);
}

enum status ledger_log(struct ledger *ledger, struct ledger_record *out)
{
    out->len = 0;
    LIST_EACH (node, &ledger->unlogged.rows)
        if (!log_row(out, container_of(node, struct ledger_row, undurable)))
            return ST_NOMEM;
    LIST_EACH (node, &ledger->unlogged.holds)
        if (!log_hold(out, container_of(node, struct ledger_hold, undurable)))
            return ST_NOMEM;
    return ST_OK;
}

static void pass_on(struct ledger_changes *from, struct ledger_changes *to)
{
    list_append(&to->rows, &from->rows);
    list_append(&to->holds, &from->holds);
}

void ledger_logged(struct ledger *ledger)
{
    pass_on(&ledger->unlogged, &ledger->logged);
}

void ledger_sync_begins(struct ledger *ledger)
{
    pass_on(&ledger->logged, &ledger->syncing);
}

/* Its change is durable; an end need not be remembered any more. */
static void forget_change(struct ledger *ledger, struct list *node)
{
    struct ledger_hold *held = container_of(node, struct ledger_hold, undurable);

    list_remove(node);
    if (held->is_ended)
        table_hold_free(ledger, held);
}

bool ledger_synced_some(struct ledger *ledger)
{
    struct ledger_changes *syncing = &ledger->syncing;

    for (int i = 0; i < SYNCED_MOST; i++) {
        (void)list_pop_front(&syncing->rows);
        if (!list_is_empty(&syncing->holds))
            forget_change(ledger, syncing->holds.next);
    }
    return !list_is_empty(&syncing->rows) || !list_is_empty(&syncing->holds);
}

void ledger_unlog(struct ledger *ledger)
{
    pass_on(&ledger->logged, &ledger->unlogged);
    pass_on(&ledger->syncing, &ledger->unlogged);
}

void ledger_log_again(struct ledger *ledger)
{
    LIST_EACH (node, &ledger->marks)
        table_hold_changed(ledger, container_of(node, struct ledger_hold, order));
    LIST_EACH (node, &ledger->live)
        table_hold_changed(ledger, container_of(node, struct ledger_hold, order));
}

/* --- from the log --- */

static size_t replay_row(struct ledger *ledger, const unsigned char *bytes, size_t len)
{
    struct row_entry entry;
    struct row value;
    struct charge charge = {0};
    int64_t until_s;

    if (len < sizeof(entry))
        return 0;
    memcpy(&entry, bytes, sizeof(entry));
    memcpy(&until_s, entry.until_s, sizeof(until_s));
    memcpy(charge.subject.bytes, entry.subject, sizeof(entry.subject));
    charge.kind = entry.kind;
    charge.measure = entry.measure;

    size_t size = ledger_row_size(entry.kind);
    struct ledger_subject *subject = table_subject(ledger, &charge.subject);
    struct ledger_row *row = subject ? table_row(ledger, subject, &charge, until_s) : NULL;

    if (!row || len < sizeof(entry) + size)
        return 0;
    if (entry.kind == LIMIT_ROLLING)
        memcpy(&value.rolling, bytes + sizeof(entry), size);
    else
        memcpy(&value.number, bytes + sizeof(entry), size);
    ledger_row_write(ledger, row, &value);
    return sizeof(entry) + size;
}

/* Its end is in the log. */
static void drop_hold(struct ledger *ledger, uint64_t id)
{
    struct ledger_hold *held = table_hold(ledger, id);

    if (!held)
        return;
    held->is_logged = false;
    table_hold_end(ledger, held);
}

static size_t replay_hold(struct ledger *ledger, const unsigned char *bytes, size_t len)
{
    struct hold hold;
    size_t head = offsetof(struct hold, charges);

    if (len < 1 + head)
        return 0;
    memcpy(&hold, bytes + 1, head);
    if (hold.charges_len > LIMITS_MAX || len < 1 + hold_size(&hold))
        return 0;
    memcpy(&hold, bytes + 1, hold_size(&hold));
    drop_hold(ledger, hold.id);

    struct ledger_hold *held = table_hold_add(ledger, &hold);

    if (!held)
        return 0;
    held->is_logged = true;
    return 1 + hold_size(&hold);
}

static size_t replay_end(struct ledger *ledger, const unsigned char *bytes, size_t len)
{
    uint64_t id;

    if (len < 1 + sizeof(id))
        return 0;
    memcpy(&id, bytes + 1, sizeof(id));
    drop_hold(ledger, id);
    return 1 + sizeof(id);
}

/* The length of the first entry; 0 where it makes no sense. */
static size_t replay_entry(struct ledger *ledger, const unsigned char *bytes, size_t len)
{
    switch ((enum entry)bytes[0]) {
    case ENTRY_NONE:
        break;
    case ENTRY_ROW:
        return replay_row(ledger, bytes, len);
    case ENTRY_HOLD:
        return replay_hold(ledger, bytes, len);
    case ENTRY_END:
        return replay_end(ledger, bytes, len);
    }
    return 0;
}

bool ledger_replay(struct ledger *ledger, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        size_t done = replay_entry(ledger, bytes, len);

        if (done == 0)
            return false;
        bytes += done;
        len -= done;
    }
    return true;
}

/* --- to the database --- */

static int compare(const void *a, const void *b)
{
    const struct ledger_copy *left = a;
    const struct ledger_copy *right = b;

    return memcmp(left->key.bytes, right->key.bytes, sizeof(left->key.bytes));
}

void ledger_save_begins(struct ledger *ledger)
{
    for (int part = 0; part < LEDGER_PARTS; part++)
        list_append(&ledger->saving[part], &ledger->unsaved[part]);
}

static void copy_row(struct ledger_copy *to, const struct ledger_row *row)
{
    to->key = row_key(&row->subject->digest, row->kind, row->measure, row->until_s);
    to->size = (uint8_t)ledger_row_size(row->kind);
    memcpy(to->values, row->values, to->size);
}

static void take_part(struct ledger *ledger, struct list *part, struct ledger_slice *slice)
{
    while (slice->len < SLICE_MOST && !list_is_empty(part)) {
        struct ledger_row *row = container_of(list_pop_front(part), struct ledger_row, unsaved);

        copy_row(&slice->copies[slice->len++], row);
        row->is_in_slice = true;
        list_push_back(&ledger->in_slice, &row->unsaved);
    }
}

/* Neighbours in the database are in the same slices. */
bool ledger_slice_take(struct ledger *ledger, struct ledger_slice *slice)
{
    ASSERT(!ledger_is_unlogged(ledger) && list_is_empty(&ledger->in_slice));
    slice->len = 0;
    for (int part = 0; part < LEDGER_PARTS; part++)
        take_part(ledger, &ledger->saving[part], slice);
    return slice->len > 0;
}

void ledger_slice_write(struct db_txn *txn, void *owner)
{
    struct ledger_slice *slice = owner;

    qsort(slice->copies, (size_t)slice->len, sizeof(slice->copies[0]), compare);
    for (int i = 0; i < slice->len; i++)
        db_put(txn, &slice->copies[i].key, slice->copies[i].values, slice->copies[i].size);
    db_drop(txn, slice->drop_before_s, DROP_MOST);
}

void ledger_slice_end(struct ledger *ledger, const struct ledger_slice *slice, bool is_saved)
{
    for (struct list *node = list_pop_front(&ledger->in_slice); node;
         node = list_pop_front(&ledger->in_slice)) {
        struct ledger_row *row = container_of(node, struct ledger_row, unsaved);

        row->is_in_slice = false;
        if (!is_saved)
            list_push_back(&ledger->saving[row->subject->digest.bytes[0]], node);
    }
    if (is_saved)
        ledger->dropped_before_s = MAX(ledger->dropped_before_s, slice->drop_before_s);
}
