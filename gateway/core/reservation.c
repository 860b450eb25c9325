/* SPDX-License-Identifier: Apache-2.0 */
/* reservation.c - the states of one hold, and its sums.
 * held_images is what the request needs from the start; it is held in a store only in HELD and COMMITTED. */

#include "core/reservation.h"

static void lay_out_parts(struct reservation *r)
{
    for (int i = 0; i < r->limits_len; i++) {
        bool is_team = r->limits[i].limit.rule.scope == SCOPE_TEAM;
        bool was_team = i > 0 && r->limits[i - 1].limit.rule.scope == SCOPE_TEAM;

        if (i == 0 || is_team != was_team) {
            ASSERT(r->parts_len < RESERVATION_PARTS_MAX);
            r->parts[r->parts_len++] = (struct reservation_part){.first = i};
        }
        r->parts[r->parts_len - 1].len++;
    }
}

static void init_limit(struct reserved_limit *l, const struct limit *limit)
{
    l->limit = *limit;
    l->used_units = 0;
    l->granted_units = 0;
    l->reset_us = 0;
    l->is_over = false;
}

/* Field by field: it is made twice a request, and to clear it as a whole takes longer than all the rest. */
void reservation_init(struct reservation *r, const struct account *account,
                      const struct terms *terms, int64_t images, uint64_t id)
{
    ASSERT(images >= 0);
    r->state = RESERVATION_NONE;
    r->account = account->digest;
    r->id = id;
    r->held_images = images;
    r->used_images = 0;
    r->expires_us = 0;
    r->refused_by = -1;
    list_init(&r->live);
    r->local = NULL;
    r->asked_us = 0;
    r->buckets = 0;
    r->parts_len = 0;
    r->limits_len = terms->limits_len;
    for (int i = 0; i < terms->limits_len; i++)
        init_limit(&r->limits[i], &terms->limits[i]);
    lay_out_parts(r);
}

void reservation_hold(struct reservation *r, int64_t expires_us)
{
    ASSERT(r->state == RESERVATION_NONE);
    r->state = RESERVATION_HELD;
    r->expires_us = expires_us;
    r->refused_by = -1;
}

void reservation_commit(struct reservation *r)
{
    ASSERT(r->state == RESERVATION_HELD);
    r->state = RESERVATION_COMMITTED;
}

bool reservation_gives_back(const struct reservation *r, int64_t used_images)
{
    for (int i = 0; i < r->limits_len; i++)
        if (r->limits[i].limit.rule.kind == LIMIT_IN_FLIGHT)
            return true;
    return used_images < r->held_images;
}

int64_t reservation_settle(struct reservation *r, int64_t used_images)
{
    ASSERT(r->state == RESERVATION_HELD || r->state == RESERVATION_COMMITTED);
    r->state = RESERVATION_SETTLED;
    r->used_images = MIN(MAX(used_images, 0), r->held_images);
    return r->held_images - r->used_images;
}

/* What a limit has in all: never negative, also where an operator took back more than there was. */
static int64_t total_of(const struct reserved_limit *l)
{
    const struct limit_rule *rule = &l->limit.rule;
    int64_t units = rule->kind == LIMIT_RATE ? rule->burst_units : rule->units;

    if (l->granted_units < 0)
        return MAX(units + l->granted_units, 0);
    return units > INT64_MAX - l->granted_units ? INT64_MAX : units + l->granted_units;
}

/* a/b < c/d, for a <= b, c <= d, none negative.  Compares the whole parts, and turns the rests upside down (Euclid): no
 * product can overflow.  Nothing of nothing is nothing. */
static bool is_less(int64_t a, int64_t b, int64_t c, int64_t d)
{
    b = MAX(b, 1);
    d = MAX(d, 1);
    while (a / b == c / d) {
        int64_t a_rest = a % b;
        int64_t c_rest = c % d;

        if (a_rest == 0 || c_rest == 0)
            return a_rest == 0 && c_rest != 0;
        /* a_rest/b < c_rest/d is d/c_rest < b/a_rest */
        int64_t b_before = b;

        a = d;
        b = c_rest;
        c = b_before;
        d = a_rest;
    }
    return a / b < c / d;
}

static bool is_tighter(const struct reserved_limit *l, const struct reserved_limit *than)
{
    return is_less(reserved_limit_left(l), total_of(l), reserved_limit_left(than), total_of(than));
}

/* What a client can plan with.  Jobs under way come and go with the client's own, so that limit is told only where it
 * refuses. */
static bool is_told(const struct reserved_limit *l)
{
    return !l->limit.rule.is_dry_run && l->limit.rule.kind != LIMIT_IN_FLIGHT;
}

const struct reserved_limit *reservation_tightest(const struct reservation *r)
{
    if (r->refused_by >= 0)
        return &r->limits[r->refused_by];

    const struct reserved_limit *tightest = NULL;

    for (int i = 0; i < r->limits_len; i++) {
        const struct reserved_limit *l = &r->limits[i];

        if (is_told(l) && (!tightest || is_tighter(l, tightest)))
            tightest = l;
    }
    return tightest;
}

int64_t reserved_limit_left(const struct reserved_limit *l)
{
    int64_t total = total_of(l);

    return l->used_units >= total ? 0 : total - MAX(l->used_units, 0);
}

int64_t reserved_limit_images_left(const struct reserved_limit *l)
{
    if (l->limit.image_units <= 0)
        return INT64_MAX;
    return reserved_limit_left(l) / l->limit.image_units;
}
