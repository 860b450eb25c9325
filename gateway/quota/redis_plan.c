/* SPDX-License-Identifier: Apache-2.0 */
/* redis_plan.c - see redis_plan.h. */

#include "quota/redis_plan.h"

#include <string.h>

#include "quota/redis.h"

#define US_PER_S    INT64_C(1000000)
#define AMOUNT_MAX  ((INT64_C(1) << 47) - 1)
#define FLIGHTS_MAX ((INT64_C(1) << 23) - 1)
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
static void add_rows(struct redis_plan *plan, const struct limit *limit,
                     const struct charge *charge)
{
    char letter = redis_row_letter(&limit->rule);

    if (limit_is_calendar(limit->rule.kind)) {
        redis_put_suffix(plan->rows[plan->rows_len++], letter, limit->window.ordinal);
    } else if (charge->segment_s > 0) {
        int64_t segment = charge->until_s / charge->segment_s - 2;

        redis_put_suffix(plan->rows[plan->rows_len++], letter, segment);
        redis_put_suffix(plan->rows[plan->rows_len++], letter, segment - 1);
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

/* 0: it need not be looked at, or there is no row. */
static int64_t expiry_s(const struct redis_question *question, const struct limit *limit)
{
    struct redis_row row;

    if (limit->rule.kind == LIMIT_IN_FLIGHT)
        return 0;
    row = redis_row_of(question->from, question->bucket, limit, question->asked_us);
    if (question->task >= TASK_INSPECT)
        return row.expiry_s;
    return redis_rows_are_seen(question->from, &row, question->now_us) ? 0 : row.expiry_s;
}

static void add_limit(struct redis_plan *plan, const struct redis_question *question,
                      const struct limit *limit)
{
    struct row_shape shape = row_shape(limit->rule.measure);
    struct charge charge = charge_of(limit, question->r->held_images, question->asked_us);
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
    redis_put(out + PLAN_EXPIRY_AT, 6, (uint64_t)expiry_s(question, limit));
    plan->len += PLAN_LIMIT_LEN;
    add_rows(plan, limit, &charge);
}

bool redis_part_is_common(const struct reservation *r, int part)
{
    static const enum limit_kind kinds[] = {LIMIT_RATE, LIMIT_IN_FLIGHT};
    const struct reservation_part *p = &r->parts[part];
    const struct account_digest *owner = redis_part_owner(r, part);
    size_t next = 0;

    if (p->len < 2 || !limit_is_calendar(r->limits[p->first].limit.rule.kind))
        return false;
    for (int i = p->first; i < p->first + p->len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        if (!is_plain(limit, owner))
            return false;
        if (i == p->first)
            continue;
        while (next < ARRAY_LEN(kinds) && kinds[next] != limit->rule.kind)
            next++;
        if (next++ == ARRAY_LEN(kinds))
            return false;
    }
    return true;
}

/* Of one calendar limit, and with it a RATE, an IN_FLIGHT limit or both.  False: a RATE beyond measure has no charge, which
 * would say that there is none. */
static bool put_facts(const struct redis_question *question, unsigned char out[PLAN_COUNTS_LEN])
{
    const struct reservation *r = question->r;
    const struct reservation_part *part = &r->parts[question->part];
    const struct reserved_limit *limits = &r->limits[part->first];
    const struct limit *last = &limits[part->len - 1].limit;
    bool has_rate = part->len > 1 && limits[1].limit.rule.kind == LIMIT_RATE;
    bool has_flight = last->rule.kind == LIMIT_IN_FLIGHT;
    int64_t allowed = MIN(limit_allowed(&limits[0].limit), row_shape(MEASURE_IMAGES).span - 1);
    int64_t flights = has_flight ? MIN(limit_allowed(last), FLIGHTS_MAX) : -1;
    int64_t cost = 0, now_us = 0, most_us = 0;

    if (has_rate) {
        const struct limit *rate = &limits[1].limit;
        struct charge charge = charge_of(rate, r->held_images, question->asked_us);

        cost = MIN(charge.amount, AMOUNT_MAX);
        now_us = question->asked_us % (charge.segment_s * US_PER_S);
        most_us = now_us + MIN(limit_allowed(rate), AMOUNT_MAX);
        if (cost == 0)
            return false;
    }
    redis_put(out, 3, (uint64_t)allowed);
    redis_put(out + 3, 6, (uint64_t)cost);
    redis_put(out + 9, 6, (uint64_t)now_us);
    redis_put(out + 15, 6, (uint64_t)most_us);
    redis_put(out + 21, 3, (uint64_t)flights);
    return true;
}

void redis_plan_make(const struct redis_question *question, struct redis_plan *out)
{
    const struct reservation_part *part = &question->r->parts[question->part];
    unsigned char *facts = out->bytes + PLAN_HEAD_LEN - PLAN_FACTS_LEN;

    out->rows_len = 0;
    out->bytes[0] = (unsigned char)question->task;
    redis_put(out->bytes + 1, 4, (uint64_t)redis_horizon(question->now_us));
    redis_put(out->bytes + 5, 2, (uint64_t)question->r->held_images);
    memset(facts, 0, PLAN_FACTS_LEN);
    out->len = PLAN_HEAD_LEN;
    for (int i = part->first; i < part->first + part->len; i++)
        add_limit(out, question, &question->r->limits[i].limit);
    if (question->task <= TASK_REAP_AND_RESERVE &&
        redis_part_is_common(question->r, question->part) && put_facts(question, facts))
        memcpy(facts + PLAN_COUNTS_LEN, out->bytes + PLAN_HEAD_LEN + PLAN_EXPIRY_AT, 6);
}

/* --- of several accounts --- */

/* False: its hash must be looked at first. */
static bool share_row(const struct redis_question *question, const struct limit *limit,
                      struct redis_shared_plan *out)
{
    struct redis_row row =
        redis_row_of(question->from, question->bucket, limit, question->asked_us);

    if (!redis_rows_are_seen(question->from, &row, question->now_us))
        return false;
    redis_put_suffix(out->rows[out->rows_len++], row.letter, row.ordinal);
    if (limit->rule.kind == LIMIT_RATE) {
        redis_put_suffix(out->rows[out->rows_len++], row.letter, row.ordinal - 1);
        redis_put(out->facts + PLAN_SEGMENT_AT, 6,
                  (uint64_t)(limit_segment_s(&limit->rule) * US_PER_S));
    }
    return true;
}

bool redis_plan_share(const struct redis_question *question, struct redis_shared_plan *out)
{
    const struct reservation *r = question->r;
    const struct reservation_part *part = &r->parts[question->part];
    bool is_day = part->len == 1 && redis_part_is_rows(r, question->part);

    memset(out, 0, sizeof(*out));
    if (!is_day && !redis_part_is_common(r, question->part))
        return false;
    for (int i = part->first; i < part->first + part->len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        if (limit->rule.kind != LIMIT_IN_FLIGHT && !share_row(question, limit, out))
            return false;
    }
    redis_put(out->facts, 2, (uint64_t)r->held_images);
    return put_facts(question, out->facts + 2);
}

/* --- replies --- */

static bool is_integer(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_INTEGER;
}

static bool read_number(int64_t number, int limits_len, struct redis_answer *out)
{
    out->number = number;
    if (number == REDIS_ASK_AGAIN)
        out->verdict = REDIS_ASK_AGAIN;
    else if (number <= REDIS_REFUSED && limits_len == 1)
        *out = (struct redis_answer){.verdict = 1, .number = REDIS_REFUSED - number};
    else
        return number >= 0;
    return true;
}

bool redis_answer_read(const redisReply *reply, int limits_len, struct redis_answer *out)
{
    *out = (struct redis_answer){.verdict = 0};
    if (is_integer(reply))
        return read_number(reply->integer, limits_len, out);
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
    if (out->verdict == 0)
        out->looked = (unsigned)reply->element[2]->integer;
    else
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
    row.number = reply->integer;
    if (limit->rule.kind == LIMIT_RATE) {
        int64_t segment_us = limit_segment_s(&limit->rule) * US_PER_S;

        row.number += asked_us - asked_us % segment_us;
    }
    return row;
}

/* What is held, as one number tells it. */
static struct row row_in(int64_t number, int limits_len, const struct limit *limit, int64_t images,
                         int64_t asked_us)
{
    int64_t span = row_shape(MEASURE_IMAGES).span;

    if (limit->rule.kind == LIMIT_RATE)
        return (struct row){.number = asked_us + charge_of(limit, images, asked_us).amount};
    if (limit->rule.kind == LIMIT_IN_FLIGHT)
        return (struct row){.number = number / span + images};
    return (struct row){.number = limits_len > 1 ? number % span : number};
}

void redis_answer_tell(const struct redis_answer *answer, struct reservation *r, int part,
                       int64_t asked_us)
{
    const struct reservation_part *p = &r->parts[part];

    for (int i = 0; i < p->len; i++) {
        struct reserved_limit *l = &r->limits[p->first + i];
        struct row row = answer->rows[i]
                             ? row_of(answer->rows[i], &l->limit, asked_us)
                             : row_in(answer->number, p->len, &l->limit, r->held_images, asked_us);

        row_tell(&row, l, r->held_images, asked_us);
        l->is_over = (answer->over >> i & 1) != 0;
    }
}
