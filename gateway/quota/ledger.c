/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - holds, rows and expiry of the embedded store.      Runs on: the store's thread.
 * Every hold has exactly one entry in the expiry table.  A row is charged with a hold exactly from ledger_reserve (or a
 * late commit) until the hold ends. */

#include "quota/ledger.h"

#include <string.h>

#include "quota/row.h"

struct row_key {
    unsigned char bytes[8 + sizeof(struct account_digest) + 1];
};

struct expiry_key {
    unsigned char bytes[8 + 8];
};

#define KEY_TEXT(key) ((struct text){(const char *)(key).bytes, sizeof((key).bytes)})

static void put_be64(unsigned char out[8], uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        out[i] = (unsigned char)value;
}

static uint64_t get_be64(const unsigned char in[8])
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

static struct row_key row_key(const struct hold *hold, uint32_t window)
{
    struct row_key key;

    put_be64(key.bytes, (uint64_t)hold->windows[window].end_s);
    memcpy(key.bytes + 8, hold->account.bytes, sizeof(hold->account.bytes));
    key.bytes[sizeof(key.bytes) - 1] = (unsigned char)hold->windows[window].kind;
    return key;
}

static struct expiry_key expiry_key(const struct hold *hold)
{
    struct expiry_key key;

    put_be64(key.bytes, (uint64_t)hold->expires_us);
    put_be64(key.bytes + 8, hold->id);
    return key;
}

static struct text id_key(const uint64_t *id)
{
    return (struct text){(const char *)id, sizeof(*id)};
}

static bool find_hold(struct db_txn *txn, uint64_t id, struct hold *out)
{
    return db_get(txn, TABLE_HOLDS, id_key(&id), out, sizeof(*out));
}

static void put_hold(struct db_txn *txn, const struct hold *hold)
{
    struct expiry_key expiry = expiry_key(hold);

    db_put(txn, TABLE_HOLDS, id_key(&hold->id), hold, sizeof(*hold));
    db_put(txn, TABLE_EXPIRY, KEY_TEXT(expiry), "", 0);
}

static void delete_hold(struct db_txn *txn, const struct hold *hold)
{
    struct expiry_key expiry = expiry_key(hold);

    db_delete(txn, TABLE_HOLDS, id_key(&hold->id));
    db_delete(txn, TABLE_EXPIRY, KEY_TEXT(expiry));
}

static void charge(struct db_txn *txn, const struct hold *hold, int64_t grains)
{
    for (uint32_t i = 0; i < hold->windows_len; i++) {
        struct row_key key = row_key(hold, i);
        int64_t row = 0;

        (void)db_get(txn, TABLE_USAGE, KEY_TEXT(key), &row, sizeof(row));
        row = row_more(row, grains);
        db_put(txn, TABLE_USAGE, KEY_TEXT(key), &row, sizeof(row));
    }
}

/* A row that is not there any more stays away. */
static void give_back(struct db_txn *txn, const struct hold *hold, int64_t grains)
{
    for (uint32_t i = 0; i < hold->windows_len; i++) {
        struct row_key key = row_key(hold, i);
        int64_t row;

        if (!db_get(txn, TABLE_USAGE, KEY_TEXT(key), &row, sizeof(row)))
            continue;
        row = row_less(row, grains);
        db_put(txn, TABLE_USAGE, KEY_TEXT(key), &row, sizeof(row));
    }
}

/* How the windows stand, and the first that has no room for so many more. */
static struct ledger_answer look(struct db_txn *txn, const struct hold *hold, const int64_t *limits,
                                 int64_t more)
{
    struct ledger_answer answer = {.refused_by = -1};

    for (uint32_t i = 0; i < hold->windows_len; i++) {
        struct row_key key = row_key(hold, i);
        int64_t row = 0;

        (void)db_get(txn, TABLE_USAGE, KEY_TEXT(key), &row, sizeof(row));
        answer.used[i] = row_used(row);
        if (more > 0 && answer.refused_by < 0 && !row_has_room(row, more, limits[i]))
            answer.refused_by = (int)i;
    }
    return answer;
}

static void move_expiry(struct db_txn *txn, struct hold *held, int64_t expires_us)
{
    delete_hold(txn, held);
    held->expires_us = expires_us;
    put_hold(txn, held);
}

struct ledger_answer ledger_reserve(struct db_txn *txn, const struct hold *hold,
                                    const int64_t limits[LIMITS_MAX], int64_t now_us)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held)) {
        move_expiry(txn, &held, MAX(held.expires_us, hold->expires_us));
        return look(txn, &held, limits, 0);
    }

    struct ledger_answer answer = look(txn, hold, limits, hold->grains);

    if (answer.refused_by >= 0 && ledger_reap(txn, now_us, INT32_MAX) > 0)
        answer = look(txn, hold, limits, hold->grains);
    if (answer.refused_by >= 0)
        return answer;
    charge(txn, hold, hold->grains);
    put_hold(txn, hold);
    for (uint32_t i = 0; i < hold->windows_len; i++)
        answer.used[i] += hold->grains;
    return answer;
}

void ledger_commit(struct db_txn *txn, const struct hold *hold)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held)) {
        held.is_committed = true;
        move_expiry(txn, &held, hold->expires_us);
        return;
    }
    held = *hold;
    held.is_committed = true;
    charge(txn, &held, held.grains);
    put_hold(txn, &held);
}

void ledger_settle(struct db_txn *txn, const struct hold *hold, int64_t used_grains,
                   bool charges_if_gone)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held)) {
        give_back(txn, &held, held.grains - used_grains);
        delete_hold(txn, &held);
        return;
    }
    if (charges_if_gone && used_grains > 0)
        charge(txn, hold, used_grains);
}

void ledger_renew(struct db_txn *txn, const struct hold *hold)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held))
        move_expiry(txn, &held, hold->expires_us);
}

static void end_expired(struct db_txn *txn, const struct expiry_key *key)
{
    struct hold held;

    db_delete(txn, TABLE_EXPIRY, KEY_TEXT(*key));
    if (!find_hold(txn, get_be64(key->bytes + 8), &held))
        return;
    if (!held.is_committed)
        give_back(txn, &held, held.grains);
    delete_hold(txn, &held);
}

int ledger_reap(struct db_txn *txn, int64_t now_us, int at_most)
{
    struct expiry_key key;
    int ended = 0;

    while (ended < at_most && db_first(txn, TABLE_EXPIRY, key.bytes, sizeof(key.bytes)) &&
           (int64_t)get_be64(key.bytes) <= now_us) {
        end_expired(txn, &key);
        ended++;
    }
    return ended;
}

int ledger_drop_windows(struct db_txn *txn, int64_t before_s, int at_most)
{
    struct row_key key;
    int dropped = 0;

    while (dropped < at_most && db_first(txn, TABLE_USAGE, key.bytes, sizeof(key.bytes)) &&
           (int64_t)get_be64(key.bytes) < before_s) {
        db_delete(txn, TABLE_USAGE, KEY_TEXT(key));
        dropped++;
    }
    return dropped;
}
