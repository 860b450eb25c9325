/* SPDX-License-Identifier: Apache-2.0 */
/* redis_plan.c - see redis_plan.h. */

#include "quota/redis_plan.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_S    INT64_C(1000000)
#define AMOUNT_MAX  ((INT64_C(1) << 47) - 1)
#define SLOT_LEN    6
#define COUNT_LEN   4
#define ROLLING_LEN (SLOT_LEN + ROLLING_COUNTS * COUNT_LEN)

/* For images of the part's owner, and no trial. */
static bool is_plain(const struct limit *limit, const struct account_digest *owner)
{
    return limit->rule.measure == MEASURE_IMAGES && !limit->rule.is_dry_run &&
           memcmp(&limit->subject, owner, sizeof(*owner)) == 0;
}

bool redis_part_is_rows(const struct reservation *r, int part)
{
    const struct reservation_part *p = &r->parts[part];
    const struct account_digest *owner = redis_part_owner(r, part);

    for (int i = p->first; i < p->first + p->len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        if (!limit_is_calendar(limit->rule.kind) || !is_plain(limit, owner))
            return false;
    }
    return true;
}

static char plan_letter(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_RATE:
        return 'g';
    case LIMIT_ROLLING:
        return 'r';
    case LIMIT_IN_FLIGHT:
    case LIMIT_NONE:
        return 'i';
    case LIMIT_DAY:
    case LIMIT_WEEK:
    case LIMIT_MONTH:
        break;
    }
    return 'c';
}

/* The segment, and the one before. */
static void add_rows(struct redis_plan *plan, uint32_t bucket, const struct limit *limit,
                     const struct charge *charge)
{
    char letter = redis_row_letter(&limit->rule);

    if (limit_is_calendar(limit->rule.kind)) {
        plan->rows[plan->rows_len++] = redis_row_key(bucket, letter, limit->window.ordinal);
    } else if (charge->segment_s > 0) {
        int64_t segment = charge->until_s / charge->segment_s - 2;

        plan->rows[plan->rows_len++] = redis_row_key(bucket, letter, segment);
        plan->rows[plan->rows_len++] = redis_row_key(bucket, letter, segment - 1);
    }
}

/* What an amend hands over instead of a charge. */
static int64_t amend_amount(const struct redis_question *question, const struct limit *limit)
{
    struct row_shape shape = row_shape(limit->rule.measure);
    struct quota_change change = {
        .kind = question->task == TASK_GRANT ? CHANGE_GRANT : CHANGE_SET_USED,
        .units = question->amend_units,
    };

    if (limit->rule.kind == LIMIT_RATE)
        return limit_amend_us(limit, &change);
    if (question->task == TASK_GRANT && limit_is_calendar(limit->rule.kind))
        return change.units / UNITS_PER_IMAGE;
    if (question->task == TASK_GRANT)
        return change.units / shape.grain_units;
    return MIN(MAX(change.units / shape.grain_units, 0), shape.span - 1);
}

static void add_limit(struct redis_plan *plan, const struct redis_question *question,
                      const struct limit *limit)
{
    struct row_shape shape = row_shape(limit->rule.measure);
    struct charge charge = charge_of(limit, question->r->held_images, question->asked_us);
    int64_t expiry_s = redis_row_expiry(charge.until_s, question->bucket, question->lease_us);
    bool is_amend = question->task >= TASK_GRANT;
    int64_t amount = is_amend ? amend_amount(question, limit) : MIN(charge.amount, AMOUNT_MAX);
    int64_t allowed = is_amend ? shape.granted_max : MIN(limit_allowed(limit), AMOUNT_MAX);
    int64_t x = shape.span;
    int64_t y = shape.grant_grains;
    unsigned char *out = plan->bytes + plan->len;

    if (limit->rule.kind == LIMIT_ROLLING)
        x = charge.slot;
    if (limit->rule.kind == LIMIT_RATE) {
        x = question->asked_us % (charge.segment_s * US_PER_S);
        y = charge.segment_s * US_PER_S;
    }
    out[0] = (unsigned char)plan_letter(limit->rule.kind);
    out[1] = limit->rule.is_dry_run;
    memcpy(out + 2, redis_field(&limit->subject), FIELD_LEN);
    redis_put(out + 8, 6, (uint64_t)amount);
    redis_put(out + 14, 6, (uint64_t)allowed);
    redis_put(out + 20, 6, (uint64_t)x);
    redis_put(out + 26, 6, (uint64_t)y);
    redis_put(out + 32, 6, (uint64_t)expiry_s);
    plan->len += PLAN_LIMIT_LEN;
    add_rows(plan, question->bucket, limit, &charge);
}

static bool is_common(const struct redis_question *question)
{
    static const enum limit_kind kinds[] = {LIMIT_RATE, LIMIT_IN_FLIGHT};
    const struct reservation *r = question->r;
    const struct reservation_part *part = &r->parts[question->part];
    const struct account_digest *owner = redis_part_owner(r, question->part);
    size_t next = 0;

    if (part->len < 2 || !limit_is_calendar(r->limits[part->first].limit.rule.kind))
        return false;
    for (int i = part->first; i < part->first + part->len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        if (!is_plain(limit, owner))
            return false;
        if (i == part->first)
            continue;
        while (next < ARRAY_LEN(kinds) && kinds[next] != limit->rule.kind)
            next++;
        if (next++ == ARRAY_LEN(kinds))
            return false;
    }
    return true;
}

static void add_fact(struct redis_plan *plan, int len, int64_t value)
{
    redis_put(plan->facts + plan->facts_len, len, (uint64_t)value);
    plan->facts_len += len;
}

static void add_facts(struct redis_plan *plan, const struct redis_question *question)
{
    const struct reservation *r = question->r;
    const struct reserved_limit *first = &r->limits[r->parts[question->part].first];
    const struct reserved_limit *second = first + 1;
    const struct reserved_limit *last = first + r->parts[question->part].len - 1;
    bool has_rate = second->limit.rule.kind == LIMIT_RATE;
    bool has_flight = last->limit.rule.kind == LIMIT_IN_FLIGHT;
    struct charge charge = charge_of(&second->limit, r->held_images, question->asked_us);
    int64_t segment_us = has_rate ? charge.segment_s * US_PER_S : 1;

    if (has_rate && charge.amount == 0)
        return; /* a RATE beyond measure: no charge says that there is none */
    add_fact(plan, 2, r->held_images);
    add_fact(plan, 6, MIN(limit_allowed(&first->limit), AMOUNT_MAX));
    add_fact(plan, 6, has_rate ? MIN(charge.amount, AMOUNT_MAX) : 0);
    add_fact(plan, 6, has_rate ? MIN(limit_allowed(&second->limit), AMOUNT_MAX) : 0);
    add_fact(plan, 6, question->asked_us % segment_us);
    add_fact(plan, 6, segment_us);
    add_fact(plan, 6, has_flight ? MIN(limit_allowed(&last->limit), AMOUNT_MAX) : -1);
}

void redis_plan_make(const struct redis_question *question, struct redis_plan *out)
{
    const struct reservation_part *part = &question->r->parts[question->part];

    out->rows_len = 0;
    out->len = 0;
    out->facts_len = 0;
    if (question->task == TASK_RESERVE && is_common(question))
        add_facts(out, question);
    for (int i = part->first; i < part->first + part->len; i++)
        add_limit(out, question, &question->r->limits[i].limit);
}

/* --- replies --- */

static bool is_integer(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

bool redis_answer_read(const redisReply *reply, int limits_len, struct redis_answer *out)
{
    *out = (struct redis_answer){.verdict = 0};
    if (is_integer(reply)) {
        out->rows[0] = reply;
        out->has_looked = reply->integer < 0;
        return limits_len == 1;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != (size_t)limits_len + 3)
        return false;
    for (int i = 0; i < 3; i++)
        if (!is_integer(reply->element[i]))
            return false;
    for (int i = 0; i < limits_len; i++) {
        out->rows[i] = reply->element[3 + i];
        if (!is_integer(out->rows[i]) &&
            (out->rows[i]->type != REDIS_REPLY_STRING || out->rows[i]->len != ROLLING_LEN))
            return false;
    }
    out->verdict = (int)reply->element[0]->integer;
    out->over = (unsigned)reply->element[1]->integer;
    out->in_hand_images = reply->element[2]->integer;
    return out->verdict == REDIS_ASK_AGAIN || (out->verdict >= 0 && out->verdict <= limits_len);
}

static struct rolling rolling_of(const redisReply *reply, int64_t grain_units)
{
    const unsigned char *bytes = (const unsigned char *)reply->str;
    struct rolling rolling = {.slot = (int64_t)redis_get(bytes, SLOT_LEN)};

    for (int i = 0; i < ROLLING_COUNTS; i++)
        rolling.counts[i] =
            (int64_t)redis_get(bytes + SLOT_LEN + i * COUNT_LEN, COUNT_LEN) * grain_units;
    return rolling;
}

static struct row row_of(const redisReply *reply, const struct limit *limit, int64_t asked_us)
{
    struct row row = {0};

    if (reply->type == REDIS_REPLY_STRING) {
        if (limit->rule.kind == LIMIT_ROLLING)
            row.rolling = rolling_of(reply, row_shape(limit->rule.measure).grain_units);
        return row;
    }
    row.number = limit_is_calendar(limit->rule.kind) ? llabs(reply->integer) : reply->integer;
    if (limit->rule.kind == LIMIT_RATE) {
        int64_t segment_us = limit_segment_s(&limit->rule) * US_PER_S;

        row.number += asked_us - asked_us % segment_us;
    }
    return row;
}

void redis_answer_tell(const struct redis_answer *answer, struct reservation *r, int part,
                       int64_t asked_us)
{
    const struct reservation_part *p = &r->parts[part];

    for (int i = 0; i < p->len; i++) {
        struct reserved_limit *l = &r->limits[p->first + i];
        struct row row = row_of(answer->rows[i], &l->limit, asked_us);

        row_tell(&row, l, r->held_images, asked_us);
        l->is_over = (answer->over >> i & 1) != 0;
    }
}
