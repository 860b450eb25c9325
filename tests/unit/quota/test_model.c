/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c - thousands of random steps on each store, with every kind of limit at once, against a model that is a
 * handful of integers.  A decision must be exact, and so must what is told of the limit that refuses.  used_units of an
 * admitted reserve may count holds that have expired and were not dealt with yet. */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "unit/quota/rig.h"

#define ACCOUNTS 6
#define TEAMS    2
#define DAYS     3
#define SLOTS    24
#define DAY_US   (INT64_C(86400) * 1000000)
/* So slow that nothing drips away while the test runs; and what is asked is half an image off what would just fit. */
#define INTERVAL_US (22 * DAY_US)
#define RATE_MOST   (40 * UNITS_PER_IMAGE) /* as long as one length of segments is right */
#define HALF        (UNITS_PER_IMAGE / 2)

enum fate { FATE_FREE, FATE_HELD, FATE_COMMITTED, FATE_EXPIRED };

/* What is counted: of an account, of its team. */
enum counter { OF_DAY, OF_MONTH = OF_DAY + DAYS, OF_ROLLING, OF_RATE, OF_TEAM_DAY, COUNTERS };

/* One limit of a reservation: how it is counted, and what the model says of it. */
struct expected {
    enum counter counter; /* COUNTERS: in flight */
    bool is_team;
    int64_t image_units;
    int64_t limit_units; /* with grants */
    bool is_trial;
};

struct slot {
    enum fate fate;
    int account;
    int64_t images;
    int len;
    struct expected limits[LIMITS_MAX];
    struct reservation r;
};

struct model {
    struct rig *rig;
    int64_t used[ACCOUNTS][COUNTERS]; /* OF_TEAM_DAY: in the team's first account */
    int64_t granted[ACCOUNTS][DAYS];
    struct slot slots[SLOTS];
    int day;
    int held, refused[LIMITS_MAX], expired, amended;
};

static uint64_t seed;

/* splitmix64: the same run for the same seed. */
static int pick(int below)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % (uint64_t)below);
}

static struct quota *any_door(struct model *m)
{
    rig_quiet(m->rig); /* two links are not ordered among each other */
    return m->rig->q[pick(RIG_WORKERS)];
}

static struct slot *any_slot(struct model *m, unsigned fates)
{
    int start = pick(SLOTS);

    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &m->slots[(start + i) % SLOTS];

        if (fates & (1U << slot->fate))
            return slot;
    }
    return NULL;
}

static int team_of(int account)
{
    return account % TEAMS;
}

static int64_t *counter_of(struct model *m, int account, enum counter counter)
{
    return &m->used[counter == OF_TEAM_DAY ? team_of(account) : account][counter];
}

/* Units of images in flight: everybody's of the team that charged it; of the account, all. */
static int64_t in_flight(const struct model *m, int account, bool is_team)
{
    int64_t images = 0;

    for (int i = 0; i < SLOTS; i++) {
        const struct slot *slot = &m->slots[i];
        bool has_team = slot->len > 0 && slot->limits[slot->len - 1].is_team;

        if (slot->fate != FATE_HELD && slot->fate != FATE_COMMITTED)
            continue;
        if (is_team ? has_team && team_of(slot->account) == team_of(account)
                    : slot->account == account)
            images += slot->images;
    }
    return images * UNITS_PER_IMAGE;
}

static int64_t used_of(struct model *m, int account, const struct expected *e)
{
    return e->counter == COUNTERS ? in_flight(m, account, e->is_team)
                                  : *counter_of(m, account, e->counter);
}

/* --- limits --- */

static void add(struct slot *slot, struct limit *limits, struct limit limit, enum counter counter)
{
    struct expected *e = &slot->limits[slot->len];

    limit.rule.is_dry_run = pick(10) == 0;
    *e = (struct expected){
        .counter = counter,
        .is_team = limit.rule.scope == SCOPE_TEAM,
        .image_units = limit.image_units,
        .is_trial = limit.rule.is_dry_run,
    };
    limits[slot->len++] = limit;
}

/* Sometimes less than is used, sometimes just enough, sometimes more. */
static void set_limit(struct model *m, struct slot *slot, int i, struct limit *limit)
{
    struct expected *e = &slot->limits[i];
    int64_t step = MAX(e->image_units, 1);
    int64_t most = used_of(m, slot->account, e) + (pick(9) - 1) * step;

    most = MAX(most, 0);
    if (e->counter == OF_RATE) { /* never so short that it lies in other segments */
        limit->rule.burst_units = MAX(most, UNITS_PER_IMAGE) + HALF;
        e->limit_units = limit->rule.burst_units;
        return;
    }
    limit->rule.units = most;
    e->limit_units = most;
    if (e->counter < OF_DAY + DAYS)
        e->limit_units += m->granted[slot->account][e->counter - OF_DAY];
}

static struct limit day_of(int account, int day)
{
    struct limit limit = rig_limit(account, LIMIT_DAY, 0);

    limit.window.ordinal += (uint32_t)day;
    limit.window.end_s += day * INT64_C(86400);
    return limit;
}

static struct limit rolling_of(int account)
{
    struct limit limit = rig_limit(account, LIMIT_ROLLING, 0);

    limit.rule.period_us = 300 * DAY_US;
    limit.subject = limit_subject(&limit.rule, rig_digest(account));
    return limit;
}

static struct limit rate_of(int account)
{
    struct limit limit = rig_limit(account, LIMIT_RATE, UNITS_PER_IMAGE);

    limit.rule.period_us = INTERVAL_US;
    return limit;
}

static void make(struct model *m, struct slot *slot)
{
    struct limit limits[LIMITS_MAX];
    int account = slot->account;

    slot->len = 0;
    add(slot, limits, day_of(account, m->day), (enum counter)(OF_DAY + m->day));
    if (pick(4) == 0) /* otherwise a daily quota of images alone takes a path of its own */
        slot->limits[0].is_trial = limits[0].rule.is_dry_run = false;
    if (pick(3) == 0)
        add(slot, limits, rig_credits(account, LIMIT_MONTH, 0, pick(4) * 833), OF_MONTH);
    if (pick(3) == 0)
        add(slot, limits, rolling_of(account), OF_ROLLING);
    if (pick(3) == 0 && m->used[account][OF_RATE] < RATE_MOST)
        add(slot, limits, rate_of(account), OF_RATE);
    if (pick(3) == 0)
        add(slot, limits, rig_limit(account, LIMIT_IN_FLIGHT, 0), COUNTERS);
    if (slot->len < LIMITS_MAX && pick(3) == 0)
        add(slot, limits, rig_of_team(team_of(account), rig_limit(account, LIMIT_DAY, 0)),
            OF_TEAM_DAY);
    if (slot->len < LIMITS_MAX && slot->limits[slot->len - 1].is_team && pick(2))
        add(slot, limits, rig_of_team(team_of(account), rig_limit(account, LIMIT_IN_FLIGHT, 0)),
            COUNTERS);
    for (int i = 0; i < slot->len; i++)
        set_limit(m, slot, i, &limits[i]);
    rig_reservation_of(&slot->r, account, slot->images, limits, slot->len);
}

static int refused_by(struct model *m, const struct slot *slot)
{
    for (int i = 0; i < slot->len; i++) {
        const struct expected *e = &slot->limits[i];
        int64_t more = slot->images * e->image_units;

        if (!e->is_trial && used_of(m, slot->account, e) + more > e->limit_units)
            return i;
    }
    return -1;
}

/* A trial of a rate that is over stays where it is; that is not counted here. */
static bool is_over_rate(struct model *m, const struct slot *slot)
{
    for (int i = 0; i < slot->len; i++) {
        const struct expected *e = &slot->limits[i];
        int64_t more = slot->images * e->image_units;

        if (e->counter == OF_RATE && used_of(m, slot->account, e) + more > e->limit_units)
            return true;
    }
    return false;
}

static void charge(struct model *m, const struct slot *slot, int64_t images)
{
    for (int i = 0; i < slot->len; i++)
        if (slot->limits[i].counter != COUNTERS)
            *counter_of(m, slot->account, slot->limits[i].counter) +=
                images * slot->limits[i].image_units;
}

/* --- steps --- */

static int64_t near(int64_t units)
{
    return (units + UNITS_PER_IMAGE / 4) / HALF * HALF; /* of a rate */
}

static void expect_refused(struct model *m, const struct slot *slot, int by)
{
    const struct expected *e = &slot->limits[by];
    const struct reserved_limit *l = &slot->r.limits[by];
    int64_t used = used_of(m, slot->account, e);

    cr_assert_eq(slot->r.refused_by, by, "%d %d", slot->r.refused_by, by);
    if (e->counter == OF_RATE)
        cr_assert_eq(near(l->used_units), MIN(used, near(e->limit_units)));
    else
        cr_assert_eq(l->used_units, used, "%lld %lld", (long long)l->used_units, (long long)used);
    m->refused[by]++;
}

static void step_reserve(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_FREE);

    if (!slot)
        return;
    slot->account = pick(ACCOUNTS);
    slot->images = 1 + pick(4);
    make(m, slot);
    if (is_over_rate(m, slot) && slot->len > 0)
        for (int i = 0; i < slot->len; i++)
            if (slot->limits[i].counter == OF_RATE)
                slot->limits[i].is_trial = slot->r.limits[i].limit.rule.is_dry_run = false;

    int by = refused_by(m, slot);
    enum status st = rig_reserve(m->rig, any_door(m), &slot->r);

    cr_assert_eq(st, by < 0 ? ST_OK : ST_LIMIT, "expected %d, refused by %d", by,
                 slot->r.refused_by);
    if (by >= 0) {
        expect_refused(m, slot, by);
        return;
    }
    charge(m, slot, slot->images);
    slot->fate = FATE_HELD;
    m->held++;
}

static void step_retry(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD);

    if (!slot)
        return;

    struct reservation again = rig_same(&slot->r);

    list_init(&again.live);
    for (int i = 0; i < again.limits_len; i++)
        if (again.limits[i].limit.rule.kind != LIMIT_RATE)
            again.limits[i].limit.rule.units = 0;
    /* A token also says when it was asked for: only where no limit needs that is it the same again. */
    for (int i = 0; i < slot->len; i++)
        if (slot->limits[i].counter == OF_RATE)
            return;
    cr_assert_eq(rig_reserve(m->rig, any_door(m), &again), ST_OK);
    list_remove(&again.live);
}

static void step_commit(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_EXPIRED);

    if (!slot)
        return;
    if (slot->fate == FATE_EXPIRED)
        charge(m, slot, slot->images);
    cr_assert_eq(rig_commit(m->rig, any_door(m), &slot->r, -1), ST_OK);
    slot->fate = FATE_COMMITTED;
}

static void step_settle(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED | 1U << FATE_EXPIRED);

    if (!slot)
        return;

    int64_t images = pick((int)slot->images + 1);

    charge(m, slot, slot->fate == FATE_EXPIRED ? images : images - slot->images);
    if (pick(2))
        cr_assert_eq(rig_commit(m->rig, any_door(m), &slot->r, images), ST_OK);
    else
        quota_settle(any_door(m), &slot->r, images);
    slot->fate = FATE_FREE;
}

/* The gateway that held it died. */
static void step_expire(struct model *m)
{
    struct slot *slot = any_slot(m, 1U << FATE_HELD | 1U << FATE_COMMITTED);

    if (!slot)
        return;
    rig_expire(m->rig, &slot->r);
    m->expired++;
    if (slot->fate == FATE_COMMITTED) {
        slot->fate = FATE_FREE;
        return;
    }
    charge(m, slot, -slot->images);
    slot->fate = FATE_EXPIRED;
}

static int64_t held_of_day(const struct model *m, int account, int day)
{
    int64_t images = 0;

    for (int i = 0; i < SLOTS; i++)
        if (m->slots[i].fate != FATE_FREE && m->slots[i].account == account &&
            m->slots[i].limits[0].counter == (enum counter)(OF_DAY + day))
            images += m->slots[i].images;
    return images * UNITS_PER_IMAGE;
}

static void step_amend(struct model *m)
{
    int account = pick(ACCOUNTS);
    struct limit limit = day_of(account, m->day);
    int64_t *granted = &m->granted[account][m->day];
    int64_t *used = &m->used[account][OF_DAY + m->day];
    struct reservation r;

    rig_reservation_of(&r, account, 0, &limit, 1);
    m->amended++;
    if (pick(2)) {
        int64_t units = (pick(7) - 3) * UNITS_PER_IMAGE;

        *granted = MAX(*granted + units, 0);
        cr_assert_eq(rig_amend(m->rig, any_door(m), &r, CHANGE_GRANT, units), ST_OK);
    } else {
        *used = held_of_day(m, account, m->day) + pick(5) * UNITS_PER_IMAGE;
        cr_assert_eq(rig_amend(m->rig, any_door(m), &r, CHANGE_SET_USED, *used), ST_OK);
    }
    cr_assert_eq(r.limits[0].used_units, *used);
    cr_assert_eq(r.limits[0].granted_units, *granted);
}

/* The embedded store has one process at a time: when another opens it, all that was held is at an end. */
static void all_end(struct model *m)
{
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &m->slots[i];

        if (slot->fate == FATE_COMMITTED)
            slot->fate = FATE_FREE;
        if (slot->fate != FATE_HELD)
            continue;
        charge(m, slot, -slot->images);
        slot->fate = FATE_EXPIRED;
    }
}

static void step_trouble(struct model *m)
{
    struct rig *rig = m->rig;

    rig_quiet(rig);
    if (rig->config.store.kind == STORE_EMBEDDED || pick(4) == 0) {
        rig_stop(rig);
        rig_start(rig);
        if (rig->config.store.kind == STORE_EMBEDDED)
            all_end(m);
    } else if (pick(2)) {
        rig_redis(rig, "SCRIPT FLUSH");
    } else {
        rig_redis(rig, "CLIENT KILL TYPE normal SKIPME yes");
    }
}

static void step(struct model *m)
{
    int dice = pick(1000);

    if (dice < 400)
        step_reserve(m);
    else if (dice < 480)
        step_retry(m);
    else if (dice < 630)
        step_commit(m);
    else if (dice < 945)
        step_settle(m);
    else if (dice < 970)
        step_expire(m);
    else if (dice < 990)
        step_amend(m);
    else if (dice < 996)
        step_trouble(m);
    else
        m->day = pick(DAYS);
}

static void settle_all(struct model *m)
{
    unsigned live = 1U << FATE_HELD | 1U << FATE_COMMITTED;

    for (struct slot *slot = any_slot(m, live); slot; slot = any_slot(m, live)) {
        charge(m, slot, -slot->images);
        quota_settle(m->rig->q[0], &slot->r, 0);
        slot->fate = FATE_FREE;
    }
}

static void compare(struct model *m)
{
    for (int account = 0; account < ACCOUNTS; account++) {
        for (int day = 0; day < DAYS; day++)
            cr_assert_eq(rig_used_of(m->rig, account, day_of(account, day)),
                         m->used[account][OF_DAY + day]);
        cr_assert_eq(rig_used_of(m->rig, account, rig_credits(account, LIMIT_MONTH, 0, 1)),
                     m->used[account][OF_MONTH]);
        cr_assert_eq(rig_used_of(m->rig, account, rolling_of(account)),
                     m->used[account][OF_ROLLING]);
    }
    for (int team = 0; team < TEAMS; team++)
        cr_assert_eq(rig_used_of(m->rig, team, rig_of_team(team, rig_limit(team, LIMIT_DAY, 0))),
                     m->used[team][OF_TEAM_DAY]);
}

static void run(enum store_kind kind, int steps)
{
    struct rig rig;
    struct model *m = calloc(1, sizeof(*m));
    const char *given = getenv("MODEL_SEED");

    m->rig = &rig;
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_monotonic_us();
    cr_log_info("seed %llu", (unsigned long long)seed);
    rig_init(&rig, kind);
    rig_start(&rig);
    for (int i = 0; i < steps; i++)
        step(m);
    settle_all(m);
    compare(m);
    cr_assert(m->held > steps / 20 && m->expired > steps / 200 && m->amended > steps / 200);
    for (int i = 0; i < 3; i++)
        cr_assert(m->refused[i] > steps / 200, "%d %d", i, m->refused[i]);
    cr_assert_eq(rig_held(&rig), 0);
    rig_fini(&rig);
    free(m);
}

Test(quota_model, embedded, .timeout = 60)
{
    run(STORE_EMBEDDED, 3000);
}

Test(quota_model, redis, .timeout = 60)
{
    run(STORE_REDIS, 6000);
}
