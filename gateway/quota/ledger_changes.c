/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_changes.c - what changed: to the log, back from it, and to the database.      Runs on: the store's thread.
 * Every entry of a record sets what it names, so records may be read again, onto a database that has some of what they
 * say.  The database never learns what the log does not have. */

#include <stdlib.h>
#include <string.h>

#include "quota/ledger.h"

#define FIRST_SIZE 4096
/* A slice of what is saved: so small that nobody waits long. */
#define SAVE_MOST 512
#define DROP_MOST 512

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
    return !list_is_empty(&ledger->unlogged_rows) || !list_is_empty(&ledger->unlogged_holds);
}

enum status ledger_log(struct ledger *ledger, struct ledger_record *out)
{
    out->len = 0;
    LIST_EACH (node, &ledger->unlogged_rows)
        if (!log_row(out, container_of(node, struct ledger_row, unlogged)))
            return ST_NOMEM;
    LIST_EACH (node, &ledger->unlogged_holds)
        if (!log_hold(out, container_of(node, struct ledger_hold, unlogged)))
            return ST_NOMEM;
    return ST_OK;
}

void ledger_logged(struct ledger *ledger)
{
    LIST_EACH (node, &ledger->unlogged_rows)
        list_remove(node);
    LIST_EACH (node, &ledger->unlogged_holds) {
        struct ledger_hold *held = container_of(node, struct ledger_hold, unlogged);

        list_remove(node);
        if (held->is_ended)
            table_hold_free(ledger, held);
    }
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

struct slice {
    struct ledger_row *rows[SAVE_MOST];
    struct row_key keys[SAVE_MOST];
    int len;
    int64_t drop_before_s;
};

static struct row_key key_of(const struct ledger_row *row)
{
    return row_key(&row->subject->digest, row->kind, row->measure, row->until_s);
}

static int compare(const void *a, const void *b)
{
    struct row_key left = key_of(*(struct ledger_row *const *)a);
    struct row_key right = key_of(*(struct ledger_row *const *)b);

    return memcmp(left.bytes, right.bytes, sizeof(left.bytes));
}

/* Neighbours in the database lie beside each other in the slice. */
static void fill(struct slice *slice, struct ledger *ledger)
{
    for (int part = 0; part < LEDGER_PARTS && slice->len < SAVE_MOST; part++) {
        LIST_EACH (node, &ledger->unsaved[part]) {
            if (slice->len == SAVE_MOST)
                break;
            slice->rows[slice->len++] = container_of(node, struct ledger_row, unsaved);
        }
    }
    qsort(slice->rows, (size_t)slice->len, sizeof(struct ledger_row *), compare);
}

static void save(struct db_txn *txn, void *owner)
{
    const struct slice *slice = owner;

    for (int i = 0; i < slice->len; i++) {
        const struct ledger_row *row = slice->rows[i];
        struct row_key key = key_of(row);

        db_put(txn, &key, row->values, ledger_row_size(row->kind));
    }
    db_drop(txn, slice->drop_before_s, DROP_MOST);
}

enum status ledger_save_some(struct ledger *ledger, int64_t drop_before_s)
{
    struct slice slice = {.drop_before_s = drop_before_s};

    ASSERT(!ledger_is_unlogged(ledger));
    fill(&slice, ledger);
    if (slice.len == 0)
        return ST_CLOSED;
    if (db_write(ledger->db, save, &slice) != ST_OK)
        return ST_UNAVAILABLE;
    for (int i = 0; i < slice.len; i++)
        list_remove(&slice.rows[i]->unsaved);
    ledger->dropped_before_s = drop_before_s;
    table_tidy(ledger, SAVE_MOST);
    return ST_OK;
}
