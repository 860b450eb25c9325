/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - the rules of holds and rows.      Runs on: any thread, under the store's lock.
 * A row is charged with a hold exactly from ledger_reserve (or a late commit) until the hold ends.  All rows that a call
 * needs are found before the first is changed, so that a call that fails changes nothing. */

#include "quota/ledger.h"

#include <string.h>

#define US_PER_S INT64_C(1000000)

/* The rows of a hold's charges, as far as they were found; of IN_FLIGHT limits: none. */
struct found {
    struct ledger_subject *subjects[LIMITS_MAX];
    struct ledger_row *rows[LIMITS_MAX];
    struct row values[LIMITS_MAX];
};

static struct ledger_subject *subject_of(struct ledger *ledger, const struct found *found,
                                         const struct hold *hold, uint32_t i)
{
    /* An account's own limits come one after another. */
    if (i > 0 && memcmp(&hold->charges[i].subject, &hold->charges[i - 1].subject,
                        sizeof(struct account_digest)) == 0)
        return found->subjects[i - 1];
    return table_subject(ledger, &hold->charges[i].subject);
}

/* --- grants until a date: a row of their own, beyond all windows --- */

#define STANDING_UNTIL_S INT64_MAX
#define STANDING_SPAN    (INT64_C(1) << 24) /* until when * this + how many */

static struct ledger_row *standing_row(struct ledger *ledger, struct ledger_subject *subject,
                                       const struct charge *charge)
{
    return table_row(ledger, subject, charge, STANDING_UNTIL_S);
}

/* Whole images or credits that a window begins with. */
static int64_t standing_now(const struct ledger_row *standing, int64_t now_us)
{
    struct row value;

    if (!standing->exists)
        return 0;
    ledger_row_read(standing, &value);
    return value.number / STANDING_SPAN > now_us / US_PER_S ? value.number % STANDING_SPAN : 0;
}

/* A new one takes the place of the last; returns the change of the present window. */
static int64_t stand(struct ledger *ledger, struct ledger_row *standing, int64_t granted,
                     int64_t until_s, int64_t now_us)
{
    int64_t before = standing_now(standing, now_us);
    const struct row value = {.number = granted > 0 ? until_s * STANDING_SPAN + granted : 0};

    if (standing->exists || granted > 0)
        ledger_row_write(ledger, standing, &value);
    return granted - before;
}

/* --- rows --- */

/* As it is now, though it may begin only with this call: a calendar window with what is granted until a date, a row of
 * segments with the segment before. */
static bool find_row(struct ledger *ledger, const struct charge *charge, struct found *found,
                     uint32_t i, int64_t now_us)
{
    struct ledger_subject *subject = found->subjects[i];
    struct ledger_row *row = table_row(ledger, subject, charge, charge->until_s);
    struct ledger_row *from = row;

    if (row && !row->exists)
        from = charge->segment_s > 0
                   ? table_row(ledger, subject, charge, charge->until_s - charge->segment_s)
                   : standing_row(ledger, subject, charge);
    if (!from)
        return false;
    found->rows[i] = row;
    if (from->until_s == STANDING_UNTIL_S)
        found->values[i].number =
            standing_now(from, now_us) * row_shape((enum limit_measure)charge->measure).span;
    else
        ledger_row_read(from, &found->values[i]);
    return true;
}

static bool find(struct ledger *ledger, const struct hold *hold, int64_t now_us, struct found *out)
{
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        const struct charge *charge = &hold->charges[i];

        out->subjects[i] = subject_of(ledger, out, hold, i);
        out->rows[i] = NULL;
        if (!out->subjects[i])
            return false;
        if (charge->kind == LIMIT_IN_FLIGHT)
            out->values[i].number = out->subjects[i]->in_flight;
        else if (!find_row(ledger, charge, out, i, now_us))
            return false;
    }
    return true;
}

static void charge_row(struct ledger *ledger, struct found *found, uint32_t i,
                       const struct charge *charge, int64_t now_us)
{
    row_add(&found->values[i], charge, now_us);
    if (found->rows[i])
        ledger_row_write(ledger, found->rows[i], &found->values[i]);
}

static enum status charge_again(struct ledger *ledger, const struct hold *hold, int64_t images,
                                int64_t now_us)
{
    struct found found;

    if (!find(ledger, hold, now_us, &found))
        return ST_UNAVAILABLE;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct charge part = hold->charges[i];

        part.amount = part.amount / hold->images * images;
        charge_row(ledger, &found, i, &part, now_us);
    }
    return ST_OK;
}

/* --- reserve --- */

/* What was found, beside the limits. */
struct look {
    struct found found;
    bool has_room[LIMITS_MAX];
    int refused_by;
};

static bool look(struct ledger *ledger, const struct hold *hold, struct reserved_limit *limits,
                 int64_t now_us, struct look *out)
{
    if (!find(ledger, hold, now_us, &out->found))
        return false;
    out->refused_by = -1;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        const struct limit *limit = &limits[i].limit;

        out->has_room[i] = row_has_room(&out->found.values[i], limit, &hold->charges[i], now_us);
        limits[i].is_over = limit->rule.is_dry_run && !out->has_room[i];
        if (!out->has_room[i] && !limit->rule.is_dry_run && out->refused_by < 0)
            out->refused_by = (int)i;
    }
    return true;
}

static void tell(const struct hold *hold, const struct found *found, struct reserved_limit *limits,
                 int64_t now_us)
{
    for (uint32_t i = 0; i < hold->charges_len; i++)
        row_tell(&found->values[i], &limits[i], hold->images, now_us);
}

static enum status hold_all(struct ledger *ledger, const struct hold *hold, struct look *look,
                            int64_t now_us)
{
    struct ledger_hold *held = table_hold_add(ledger, hold);

    if (!held)
        return ST_UNAVAILABLE;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct charge *charge = &held->hold.charges[i];

        charge->at_us = now_us;
        if (!look->has_room[i] && charge->kind == LIMIT_RATE)
            charge->amount = 0; /* on trial: the TAT stays, as it would have */
        charge_row(ledger, &look->found, i, charge, now_us);
    }
    return ST_OK;
}

static enum status tell_held(struct ledger *ledger, const struct hold *hold,
                             struct reserved_limit *limits, int64_t now_us)
{
    struct found found;

    if (!find(ledger, hold, now_us, &found))
        return ST_UNAVAILABLE;
    tell(hold, &found, limits, now_us);
    return ST_OK;
}

enum status ledger_reserve(struct ledger *ledger, const struct hold *hold,
                           struct reserved_limit *limits, int64_t now_us, struct ledger_answer *out)
{
    struct look now;
    enum status st;

    *out = (struct ledger_answer){.refused_by = -1};
    if (table_hold(ledger, hold->id))
        return tell_held(ledger, hold, limits, now_us);
    if (!look(ledger, hold, limits, now_us, &now))
        return ST_UNAVAILABLE;
    if (now.refused_by >= 0) {
        out->refused_by = now.refused_by;
        out->in_hand_images = now.found.subjects[now.refused_by]->in_flight;
        st = ST_LIMIT;
    } else {
        st = hold_all(ledger, hold, &now, now_us);
    }
    tell(hold, &now.found, limits, now_us);
    return st;
}

/* --- the end of a hold --- */

/* The row that has the charge, if it is anywhere: one that lives on in a later segment is found there. */
static bool find_charged(struct ledger *ledger, struct ledger_subject *subject,
                         const struct charge *charge, struct ledger_row **out)
{
    struct ledger_row *row = NULL;

    *out = NULL;
    if (charge->kind == LIMIT_IN_FLIGHT)
        return true;
    if (charge->segment_s > 0) {
        row = table_row(ledger, subject, charge, charge->until_s + charge->segment_s);
        if (!row)
            return false;
    }
    if (!row || !row->exists)
        row = table_row(ledger, subject, charge, charge->until_s);
    *out = row;
    return row != NULL;
}

/* A row that is not there any more stays away. */
static bool give_back(struct ledger *ledger, const struct ledger_hold *held, int64_t images,
                      int64_t now_us)
{
    const struct hold *hold = &held->hold;
    struct ledger_row *rows[LIMITS_MAX];

    if (images <= 0)
        return true;
    for (uint32_t i = 0; i < hold->charges_len; i++)
        if (!find_charged(ledger, held->subjects[i], &hold->charges[i], &rows[i]))
            return false;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct row value;

        if (!rows[i] || !rows[i]->exists)
            continue;
        ledger_row_read(rows[i], &value);
        row_give(&value, &hold->charges[i], images, hold->images, now_us);
        ledger_row_write(ledger, rows[i], &value);
    }
    return true;
}

enum status ledger_commit(struct ledger *ledger, const struct hold *hold, int64_t now_us)
{
    struct ledger_hold *held = table_hold(ledger, hold->id);

    if (!held) {
        held = table_hold_add(ledger, hold);
        if (!held)
            return ST_UNAVAILABLE;
        if (charge_again(ledger, hold, hold->images, now_us)) {
            table_hold_end(ledger, held);
            return ST_UNAVAILABLE;
        }
    }
    held->hold.is_committed = true;
    table_hold_changed(ledger, held);
    return ST_OK;
}

enum status ledger_settle(struct ledger *ledger, const struct hold *hold, int64_t used_images,
                          bool charges_if_gone, int64_t now_us)
{
    struct ledger_hold *held = table_hold(ledger, hold->id);

    if (held) {
        if (!give_back(ledger, held, held->hold.images - used_images, now_us))
            return ST_UNAVAILABLE;
        table_hold_end(ledger, held);
        return ST_OK;
    }
    if (!charges_if_gone || used_images <= 0)
        return ST_OK;
    return charge_again(ledger, hold, used_images, now_us);
}

static bool end(struct ledger *ledger, struct ledger_hold *held, int64_t now_us)
{
    if (!held->hold.is_committed && !give_back(ledger, held, held->hold.images, now_us))
        return false;
    table_hold_end(ledger, held);
    return true;
}

bool ledger_end(struct ledger *ledger, uint64_t id, int64_t now_us)
{
    struct ledger_hold *held = table_hold(ledger, id);

    return held && end(ledger, held, now_us);
}

bool ledger_end_all(struct ledger *ledger, int64_t now_us)
{
    LIST_EACH (node, &ledger->live)
        if (!end(ledger, container_of(node, struct ledger_hold, order), now_us))
            return false;
    return true;
}

void ledger_end_marks(struct ledger *ledger, int64_t now_us)
{
    LIST_EACH (node, &ledger->marks) {
        struct ledger_hold *mark = container_of(node, struct ledger_hold, order);

        if (mark->hold.expires_us > now_us)
            return;
        table_hold_end(ledger, mark);
    }
}

/* --- for people --- */

enum status ledger_inspect(struct ledger *ledger, const struct hold *hold,
                           struct reserved_limit *limits, int64_t now_us)
{
    struct look now;

    if (!look(ledger, hold, limits, now_us, &now))
        return ST_UNAVAILABLE;
    tell(hold, &now.found, limits, now_us);
    return ST_OK;
}

/* What the present window's row is to become; what stands beyond it is written here. */
static bool change_of_row(struct ledger *ledger, const struct charge *charge,
                          struct ledger_subject *subject, int64_t now_us,
                          struct quota_change *change)
{
    bool is_grant = change->kind == CHANGE_GRANT && change->until_s > 0;
    struct ledger_row *standing;
    int64_t granted, most;

    if (charge->segment_s > 0 || (!is_grant && change->kind != CHANGE_RESET))
        return true;
    standing = standing_row(ledger, subject, charge);
    if (!standing)
        return false;
    most = MIN(row_shape((enum limit_measure)charge->measure).granted_max, STANDING_SPAN - 1);
    granted = is_grant ? MIN(change->units / UNITS_PER_IMAGE, most) : 0;
    granted = stand(ledger, standing, granted, change->until_s, now_us);
    if (is_grant)
        change->units = granted * UNITS_PER_IMAGE;
    return true;
}

static enum status amend_rows(struct ledger *ledger, const struct hold *hold,
                              const struct quota_change *change,
                              const struct reserved_limit *limits, int64_t now_us)
{
    struct found found;

    if (!find(ledger, hold, now_us, &found))
        return ST_UNAVAILABLE;
    for (uint32_t i = 0; i < hold->charges_len; i++) {
        struct quota_change of_row = *change;

        if (!found.rows[i])
            continue;
        if (!change_of_row(ledger, &hold->charges[i], found.subjects[i], now_us, &of_row))
            return ST_UNAVAILABLE;
        row_amend(&found.values[i], &limits[i].limit, &of_row, now_us);
        ledger_row_write(ledger, found.rows[i], &found.values[i]);
    }
    return ST_OK;
}

/* A hold of no images remembers that it was done. */
enum status ledger_amend(struct ledger *ledger, const struct hold *hold,
                         const struct quota_change *change, struct reserved_limit *limits,
                         int64_t now_us)
{
    struct hold mark = {.id = hold->id, .expires_us = hold->expires_us, .is_committed = true};

    if (!table_hold(ledger, hold->id)) {
        struct ledger_hold *held = table_hold_add(ledger, &mark);

        if (!held)
            return ST_UNAVAILABLE;
        if (amend_rows(ledger, hold, change, limits, now_us)) {
            table_hold_end(ledger, held);
            return ST_UNAVAILABLE;
        }
    }
    return ledger_inspect(ledger, hold, limits, now_us);
}
