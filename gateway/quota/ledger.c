/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - holds, rows and expiry of the embedded store.      Runs on: the store's thread.
 * Every hold has exactly one entry in the expiry table, and one a subject among the flights, made and removed with it.  A
 * row is charged with a hold exactly from ledger_reserve (or a late commit) until the hold ends. */

#include "quota/ledger.h"

#include <string.h>

struct row_key {
    unsigned char bytes[8 + sizeof(struct account_digest) + 1];
};

struct expiry_key {
    unsigned char bytes[8 + 8];
};

struct flight_key {
    unsigned char bytes[sizeof(struct account_digest) + 8];
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

/* --- rows --- */

static struct row_key row_key(const struct charge *charge, int64_t until_s)
{
    struct row_key key;

    put_be64(key.bytes, (uint64_t)until_s);
    memcpy(key.bytes + 8, charge->subject.bytes, sizeof(charge->subject.bytes));
    key.bytes[sizeof(key.bytes) - 1] = (unsigned char)(charge->measure << 4 | charge->kind);
    return key;
}

static bool get_at(struct db_txn *txn, const struct charge *charge, int64_t until_s,
                   struct row *out)
{
    struct row_key key = row_key(charge, until_s);

    if (charge->kind == LIMIT_ROLLING)
        return db_get(txn, TABLE_USAGE, KEY_TEXT(key), &out->rolling, sizeof(out->rolling));
    return db_get(txn, TABLE_USAGE, KEY_TEXT(key), &out->number, sizeof(out->number));
}

static void put_at(struct db_txn *txn, const struct charge *charge, int64_t until_s,
                   const struct row *row)
{
    struct row_key key = row_key(charge, until_s);

    if (charge->kind == LIMIT_ROLLING)
        db_put(txn, TABLE_USAGE, KEY_TEXT(key), &row->rolling, sizeof(row->rolling));
    else if (charge->kind != LIMIT_IN_FLIGHT)
        db_put(txn, TABLE_USAGE, KEY_TEXT(key), &row->number, sizeof(row->number));
}

static int64_t images_in_hand(struct db_txn *txn, const struct account_digest *subject)
{
    return db_sum(txn, TABLE_FLIGHTS,
                  (struct text){(const char *)subject->bytes, sizeof(subject->bytes)});
}

/* As it is now; all zero where there is none. */
static struct row get_row(struct db_txn *txn, const struct charge *charge)
{
    struct row row = {0};

    if (charge->kind == LIMIT_IN_FLIGHT)
        row.number = images_in_hand(txn, &charge->subject);
    else if (!get_at(txn, charge, charge->until_s, &row) && charge->segment_s > 0)
        (void)get_at(txn, charge, charge->until_s - charge->segment_s, &row);
    return row;
}

static void charge_rows(struct db_txn *txn, const struct hold *hold, int64_t images, int64_t now_us)
{
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct charge part = hold->charges[i];
        struct row row = get_row(txn, &part);

        part.amount = part.amount / hold->images * images;
        row_add(&row, &part, now_us);
        put_at(txn, &part, part.until_s, &row);
    }
}

/* A row that is not there any more stays away.  One that lives on in a later segment is found there. */
static void give_back(struct db_txn *txn, const struct hold *hold, int64_t images, int64_t now_us)
{
    for (uint32_t i = 0; i < hold->charges_len && images > 0; i++) {
        const struct charge *charge = &hold->charges[i];
        int64_t until_s = charge->until_s + charge->segment_s;
        struct row row;

        if (charge->segment_s == 0 || !get_at(txn, charge, until_s, &row)) {
            until_s = charge->until_s;
            if (charge->kind == LIMIT_IN_FLIGHT || !get_at(txn, charge, until_s, &row))
                continue;
        }
        row_give(&row, charge, images, hold->images, now_us);
        put_at(txn, charge, until_s, &row);
    }
}

/* --- holds --- */

static struct expiry_key expiry_key(const struct hold *hold)
{
    struct expiry_key key;

    put_be64(key.bytes, (uint64_t)hold->expires_us);
    put_be64(key.bytes + 8, hold->id);
    return key;
}

static struct flight_key flight_key(const struct hold *hold, uint32_t charge)
{
    struct flight_key key;
    const struct account_digest *subject = &hold->charges[charge].subject;

    memcpy(key.bytes, subject->bytes, sizeof(subject->bytes));
    put_be64(key.bytes + sizeof(subject->bytes), hold->id);
    return key;
}

/* Has an earlier charge this subject, too? */
static bool is_repeated(const struct hold *hold, uint32_t charge)
{
    for (uint32_t i = 0; i < charge; i++)
        if (memcmp(&hold->charges[i].subject, &hold->charges[charge].subject,
                   sizeof(struct account_digest)) == 0)
            return true;
    return false;
}

static struct text id_key(const uint64_t *id)
{
    return (struct text){(const char *)id, sizeof(*id)};
}

static size_t hold_size(uint32_t charges_len)
{
    return offsetof(struct hold, charges) + charges_len * sizeof(struct charge);
}

static bool find_hold(struct db_txn *txn, uint64_t id, struct hold *out)
{
    size_t size = db_get_most(txn, TABLE_HOLDS, id_key(&id), out, sizeof(*out));

    return size >= hold_size(0) && out->charges_len <= LIMITS_MAX &&
           size == hold_size(out->charges_len);
}

static void put_expiring(struct db_txn *txn, const struct hold *hold)
{
    struct expiry_key expiry = expiry_key(hold);

    db_put(txn, TABLE_HOLDS, id_key(&hold->id), hold, hold_size(hold->charges_len));
    db_put(txn, TABLE_EXPIRY, KEY_TEXT(expiry), "", 0);
}

static void put_hold(struct db_txn *txn, const struct hold *hold)
{
    put_expiring(txn, hold);
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct flight_key flight = flight_key(hold, i);

        if (!is_repeated(hold, i))
            db_put(txn, TABLE_FLIGHTS, KEY_TEXT(flight), &hold->images, sizeof(hold->images));
    }
}

static void delete_hold(struct db_txn *txn, const struct hold *hold)
{
    struct expiry_key expiry = expiry_key(hold);

    db_delete(txn, TABLE_HOLDS, id_key(&hold->id));
    db_delete(txn, TABLE_EXPIRY, KEY_TEXT(expiry));
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct flight_key flight = flight_key(hold, i);

        if (!is_repeated(hold, i))
            db_delete(txn, TABLE_FLIGHTS, KEY_TEXT(flight));
    }
}

static void move_expiry(struct db_txn *txn, struct hold *held, int64_t expires_us)
{
    struct expiry_key before = expiry_key(held);

    db_delete(txn, TABLE_EXPIRY, KEY_TEXT(before));
    held->expires_us = expires_us;
    put_expiring(txn, held);
}

/* --- reserve --- */

/* Limits beside the hold's charges, and what was read of them. */
struct look {
    struct row rows[LIMITS_MAX];
    bool has_room[LIMITS_MAX];
    int refused_by;
};

static void look(struct db_txn *txn, const struct hold *hold, struct reserved_limit *limits,
                 int64_t now_us, struct look *out)
{
    out->refused_by = -1;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        const struct limit *limit = &limits[i].limit;

        out->rows[i] = get_row(txn, &hold->charges[i]);
        out->has_room[i] = row_has_room(&out->rows[i], limit, &hold->charges[i], now_us);
        limits[i].is_over = limit->rule.is_dry_run && !out->has_room[i];
        if (!out->has_room[i] && !limit->rule.is_dry_run && out->refused_by < 0)
            out->refused_by = (int)i;
    }
}

static void tell(const struct hold *hold, const struct look *look, struct reserved_limit *limits,
                 int64_t now_us)
{
    for (uint32_t i = 0; i < hold->charges_len; i++)
        row_tell(&look->rows[i], &limits[i], hold->images, now_us);
}

static void hold_all(struct db_txn *txn, struct hold *hold, struct look *look, int64_t now_us)
{
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct charge *charge = &hold->charges[i];

        charge->at_us = now_us;
        if (!look->has_room[i] && charge->kind == LIMIT_RATE)
            charge->amount = 0; /* on trial: the TAT stays, as it would have */
        row_add(&look->rows[i], charge, now_us);
        put_at(txn, charge, charge->until_s, &look->rows[i]);
    }
    put_hold(txn, hold);
}

static struct ledger_answer held_already(struct db_txn *txn, struct hold *held,
                                         const struct hold *hold, struct reserved_limit *limits,
                                         int64_t now_us)
{
    move_expiry(txn, held, MAX(held->expires_us, hold->expires_us));
    for (uint32_t i = 0; i < held->charges_len; i++) {
        struct row row = get_row(txn, &held->charges[i]);

        row_tell(&row, &limits[i], hold->images, now_us);
    }
    return (struct ledger_answer){.refused_by = -1};
}

struct ledger_answer ledger_reserve(struct db_txn *txn, const struct hold *hold,
                                    struct reserved_limit *limits, int64_t now_us)
{
    struct hold held;
    struct look now = {0};

    if (find_hold(txn, hold->id, &held))
        return held_already(txn, &held, hold, limits, now_us);

    look(txn, hold, limits, now_us, &now);
    if (now.refused_by >= 0 && ledger_reap(txn, now_us, INT32_MAX) > 0)
        look(txn, hold, limits, now_us, &now);

    struct ledger_answer answer = {.refused_by = now.refused_by};

    if (answer.refused_by >= 0) {
        answer.in_hand_images = images_in_hand(txn, &hold->charges[answer.refused_by].subject);
    } else {
        held = *hold;
        hold_all(txn, &held, &now, now_us);
    }
    tell(hold, &now, limits, now_us);
    return answer;
}

/* --- the end of a hold --- */

void ledger_commit(struct db_txn *txn, const struct hold *hold, int64_t now_us)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held)) {
        held.is_committed = true;
        move_expiry(txn, &held, hold->expires_us);
        return;
    }
    held = *hold;
    held.is_committed = true;
    charge_rows(txn, &held, held.images, now_us);
    put_hold(txn, &held);
}

void ledger_settle(struct db_txn *txn, const struct hold *hold, int64_t used_images,
                   bool charges_if_gone, int64_t now_us)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held)) {
        give_back(txn, &held, held.images - used_images, now_us);
        delete_hold(txn, &held);
        return;
    }
    if (charges_if_gone && used_images > 0)
        charge_rows(txn, hold, used_images, now_us);
}

void ledger_renew(struct db_txn *txn, const struct hold *hold)
{
    struct hold held;

    if (find_hold(txn, hold->id, &held))
        move_expiry(txn, &held, hold->expires_us);
}

/* --- for people --- */

void ledger_inspect(struct db_txn *txn, const struct hold *hold, struct reserved_limit *limits,
                    int64_t now_us)
{
    struct look now = {0};

    (void)ledger_reap(txn, now_us, INT32_MAX);
    look(txn, hold, limits, now_us, &now);
    tell(hold, &now, limits, now_us);
}

/* A hold of no images remembers that it was done. */
void ledger_amend(struct db_txn *txn, const struct hold *hold, const struct quota_change *change,
                  struct reserved_limit *limits, int64_t now_us)
{
    struct hold held;

    (void)ledger_reap(txn, now_us, INT32_MAX); /* first: what expired was no part of what is set */
    if (!find_hold(txn, hold->id, &held)) {
        for (uint32_t i = 0; i < hold->charges_len; i++) {
            struct row row = get_row(txn, &hold->charges[i]);

            row_amend(&row, &limits[i].limit, change, now_us);
            put_at(txn, &hold->charges[i], hold->charges[i].until_s, &row);
        }
        held = (struct hold){.id = hold->id, .expires_us = hold->expires_us, .is_committed = true};
        put_hold(txn, &held);
    }
    ledger_inspect(txn, hold, limits, now_us);
}

/* --- expiry --- */

static void end_expired(struct db_txn *txn, const struct expiry_key *key, int64_t now_us)
{
    struct hold held;

    db_delete(txn, TABLE_EXPIRY, KEY_TEXT(*key));
    if (!find_hold(txn, get_be64(key->bytes + 8), &held))
        return;
    if (!held.is_committed)
        give_back(txn, &held, held.images, now_us);
    delete_hold(txn, &held);
}

int ledger_reap(struct db_txn *txn, int64_t now_us, int at_most)
{
    struct expiry_key key;
    int ended = 0;

    while (ended < at_most && db_first(txn, TABLE_EXPIRY, key.bytes, sizeof(key.bytes)) &&
           (int64_t)get_be64(key.bytes) <= now_us) {
        end_expired(txn, &key, now_us);
        ended++;
    }
    return ended;
}

int ledger_drop_rows(struct db_txn *txn, int64_t before_s, int at_most)
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
