/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - a worker's shares of the limits of the whole service.      Runs on: worker.
 * held = what the store counts as this worker's in this window, at least; in hand = held less what requests have taken.
 * Both fall before a claim that gives back is sent, and rise only by an answer: so no unit is ever in two hands. */

#include "quota/share.h"

#include <string.h>
#include <sys/random.h>

#define US_PER_S INT64_C(1000000)
/* What others hand back is asked for so often, where the store had nothing left. */
#define POLL_US INT64_C(500000)
#define TRIM_US US_PER_S
/* A share is refilled when less than this part of a second's use is in hand. */
#define LOW_WATER 4
/* Clocks are set right by steps of less than this; by more, the window is looked up anew. */
#define STEP_S 60

/* --- a row in its window ---------------------------------------------------------------------------------------------- */

static int index_of(const struct share_row *row)
{
    return (int)(row - row->of->rows);
}

static unsigned bit_of(const struct share_row *row)
{
    return 1U << index_of(row);
}

static void show(struct share_row *row)
{
    atomic_store_explicit(&row->seen_limit_units, row->is_limited ? row->rule.units : -1,
                          memory_order_relaxed);
    atomic_store_explicit(&row->seen_held_units, row->held_units, memory_order_relaxed);
    atomic_store_explicit(&row->seen_in_hand_units, row->in_hand_units, memory_order_relaxed);
}

/* What was held in the window before is gone with it; so is the claim, whose answer nobody hears. */
static void enter_window(struct share_row *row, int64_t now_s)
{
    op_cancel(&row->op);
    row->is_claiming = false;
    row->window = (struct window){0};
    if (row->is_limited)
        row->window = service_window(row->rule.period, &row->of->policy->zone, now_s);
    row->holder = ++row->of->next_holder;
    row->serial = 0;
    row->held_units = 0;
    row->in_hand_units = 0;
    row->nothing_until_us = 0;
    row->enough_until_us = 0;
    show(row);
}

static bool is_over(const struct share_row *row, int64_t now_s)
{
    if (row->window.end_s == 0)
        return row->is_limited;
    return now_s >= row->window.end_s || now_s < row->window.start_s - STEP_S;
}

/* What was used of late in a second. */
static int64_t recent_units(const struct share_row *row, int64_t now_s)
{
    if (now_s == row->second)
        return MAX(row->used_units, row->used_before_units);
    return now_s == row->second + 1 ? row->used_units : 0;
}

static void count_use(struct share_row *row, int64_t units, int64_t now_s)
{
    if (now_s != row->second) {
        row->used_before_units = now_s == row->second + 1 ? row->used_units : 0;
        row->used_units = 0;
        row->second = now_s;
    }
    row->used_units += units;
}

/* --- claims ----------------------------------------------------------------------------------------------------------- */

static int64_t units_of(const struct share_row *row, const struct share_hold *hold, int64_t images)
{
    bool is_images = service_row_measure(index_of(row)) == MEASURE_IMAGES;

    return images * (is_images ? UNITS_PER_IMAGE : hold->credit_units);
}

static int64_t need_of(const struct share_row *row, const struct share_hold *hold)
{
    return units_of(row, hold, hold->images);
}

static int64_t awaited_units(const struct share_row *row)
{
    int64_t units = 0;

    LIST_EACH (node, &row->waiters)
        units += need_of(row, container_of(node, struct share_hold, waiting));
    return units;
}

/* The shares are looked through then, or before. */
static void trim_within(struct shares *shares, int64_t us)
{
    int64_t due_us = loop_now_us(shares->quota->loop) + us;

    if (!timer_is_set(&shares->trim) || shares->trim.deadline_us > due_us)
        timer_set(shares->quota->loop, &shares->trim, due_us);
}

static void learn(struct share_row *row)
{
    const struct quota_claim *claim = &row->claim;
    int64_t now_us = quota_now_us(row->of->quota);
    int64_t got_units = claim->got_units - row->held_units;

    row->held_units += got_units;
    row->in_hand_units += got_units;
    if (claim->leased_units >= claim->rule.units)
        row->nothing_until_us = now_us + POLL_US;
    if (claim->got_units < claim->want_units)
        row->enough_until_us = now_us + POLL_US;
    show(row);
    trim_within(row->of, TRIM_US);
}

/* held + more than that is wanted, need of it in any case; less: the rest is given back. */
static enum status claim(struct share_row *row, int64_t need_units, int64_t want_units)
{
    struct shares *shares = row->of;
    int64_t before_units = row->held_units;
    enum status st;

    ASSERT(!row->is_claiming);
    stats_add(shares->stats, STAT_SERVICE_CLAIMS, index_of(row), 1);
    if (want_units < row->held_units) {
        row->in_hand_units -= row->held_units - want_units;
        row->held_units = want_units;
        show(row);
    }
    row->claim = (struct quota_claim){
        .rule = row->rule,
        .window = row->window,
        .holder = row->holder,
        .serial = ++row->serial,
        .held_units = before_units,
        .need_units = need_units,
        .want_units = want_units,
    };
    st = quota_claim(shares->quota, &row->claim, &row->op);
    row->is_claiming = st == ST_PENDING;
    if (st == ST_OK)
        learn(row);
    return st;
}

/* What those who wait need, and as much again as is used in a second. */
static enum status refill(struct share_row *row, int64_t now_s)
{
    int64_t need_units = row->held_units - row->in_hand_units + awaited_units(row);
    int64_t want_units = need_units + recent_units(row, now_s);

    return claim(row, MAX(need_units, row->held_units), MAX(want_units, row->held_units));
}

/* --- requests --------------------------------------------------------------------------------------------------------- */

/* May the hold have its part of the row?  ST_PENDING: the store must be asked. */
static enum status judge_row(const struct share_row *row, const struct share_hold *hold,
                             bool is_first)
{
    int64_t need_units = need_of(row, hold);

    if (need_units == 0)
        return ST_OK;
    if (need_units > row->rule.units)
        return ST_LIMIT;
    if (!is_first && !list_is_empty(&row->waiters))
        return ST_PENDING;
    if (need_units <= row->in_hand_units)
        return ST_OK;
    return quota_now_us(row->of->quota) < row->nothing_until_us ? ST_LIMIT : ST_PENDING;
}

/* Of several that refuse, the one that does so longest is told. */
static void refuse(const struct share_row *row, struct share_hold *hold)
{
    bool is_hopeless = need_of(row, hold) > row->rule.units;
    int64_t reset_us = is_hopeless ? INT64_MAX : row->window.end_s * US_PER_S;

    if (hold->refused_by >= 0 && hold->reset_us >= reset_us)
        return;
    hold->refused_by = index_of(row);
    hold->reset_us = reset_us;
}

/* All rows.  ST_PENDING: *lacking must be asked for more. */
static enum status judge(struct shares *shares, struct share_hold *hold, bool is_first,
                         struct share_row **lacking)
{
    *lacking = NULL;
    hold->over = 0;
    hold->refused_by = -1;
    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];
        enum status st = row->is_limited ? judge_row(row, hold, is_first) : ST_OK;

        if (st == ST_LIMIT && row->rule.is_dry_run)
            hold->over |= bit_of(row);
        else if (st == ST_LIMIT)
            refuse(row, hold);
        else if (st == ST_PENDING && !*lacking && !(hold->unasked & bit_of(row)))
            *lacking = row;
    }
    if (hold->refused_by >= 0)
        return ST_LIMIT;
    return *lacking ? ST_PENDING : ST_OK;
}

static void take_from(struct share_row *row, struct share_hold *hold, int64_t now_s)
{
    int64_t units = need_of(row, hold);

    row->in_hand_units -= units;
    hold->holders[index_of(row)] = row->holder;
    count_use(row, units, now_s);
    show(row);
}

/* Ahead of need.  Nobody waits for it, so what does not come is asked for again when it is needed. */
static void top_up(struct share_row *row, int64_t now_s)
{
    int64_t now_us = quota_now_us(row->of->quota);

    if (row->is_claiming || row->is_telling || now_us < row->nothing_until_us ||
        now_us < row->enough_until_us)
        return;
    if (row->in_hand_units < recent_units(row, now_s) / LOW_WATER)
        (void)refill(row, now_s);
}

static void take(struct shares *shares, struct share_hold *hold, int64_t now_s)
{
    hold->state = SHARE_TAKEN;
    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];
        bool is_left_out = (hold->over | hold->unasked) & bit_of(row);

        if (!row->is_limited || is_left_out || need_of(row, hold) == 0)
            continue;
        take_from(row, hold, now_s);
        top_up(row, now_s);
    }
}

static void leave(struct share_hold *hold)
{
    list_remove(&hold->waiting);
    hold->state = SHARE_NONE;
}

static void on_cancel(struct op *op)
{
    leave(op->callee);
}

static void wait_at(struct share_row *row, struct share_hold *hold, struct op *op)
{
    list_push_back(&row->waiters, &hold->waiting);
    hold->state = SHARE_WAITING;
    hold->op = op;
    op->cancel = on_cancel;
    op->callee = hold;
}

/* As far as it goes: taken, refused, or in wait for what is lacking. */
static enum status attempt(struct shares *shares, struct share_hold *hold, struct op *op,
                           bool is_first)
{
    int64_t now_s = quota_now_us(shares->quota) / US_PER_S;

    for (;;) {
        struct share_row *lacking;
        enum status st = judge(shares, hold, is_first, &lacking);

        if (st == ST_OK)
            take(shares, hold, now_s);
        if (st != ST_PENDING)
            return st;
        wait_at(lacking, hold, op);
        st = lacking->is_claiming || lacking->is_telling ? ST_PENDING : refill(lacking, now_s);
        if (st == ST_PENDING)
            return st;
        leave(hold);
        op->cancel = NULL;
        if (st != ST_OK && !lacking->rule.is_dry_run)
            return ST_UNAVAILABLE;
        if (st != ST_OK)
            hold->unasked |= bit_of(lacking);
        is_first = true;
    }
}

/* One that waited for this row, after the claim went so. */
static void carry_on(struct share_row *row, struct share_hold *hold, enum status st)
{
    struct op *op = hold->op;

    leave(hold);
    if (st == ST_OK || row->rule.is_dry_run) {
        hold->unasked |= st == ST_OK ? 0 : bit_of(row);
        st = attempt(row->of, hold, op, true);
    }
    if (st != ST_PENDING)
        op_done(op, st == ST_OK || st == ST_LIMIT ? st : ST_UNAVAILABLE);
}

static void tell_once(struct share_row *row, enum status st)
{
    struct list told;
    struct list *node;

    list_move(&row->waiters, &told);
    row->is_telling = true;
    for (node = list_pop_front(&told); node; node = list_pop_front(&told))
        carry_on(row, container_of(node, struct share_hold, waiting), st);
    row->is_telling = false;
}

/* All who wait for the row; those that it does not suffice for wait on, together for one claim. */
static void tell(struct share_row *row, enum status st)
{
    int64_t now_s = quota_now_us(row->of->quota) / US_PER_S;

    while (st != ST_PENDING && !row->is_claiming) {
        tell_once(row, st);
        if (list_is_empty(&row->waiters) || row->is_claiming)
            return;
        st = refill(row, now_s);
    }
}

/* Windows that have ended; who waits in one waits on in the next. */
static void move_on(struct shares *shares)
{
    int64_t now_s = quota_now_us(shares->quota) / US_PER_S;

    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];

        if (!is_over(row, now_s))
            continue;
        enter_window(row, now_s);
        if (list_is_empty(&row->waiters))
            continue;

        tell(row, row->is_limited ? refill(row, now_s) : ST_OK);
    }
}

static void on_claimed(struct op *op, enum status st)
{
    struct share_row *row = container_of(op, struct share_row, op);

    row->is_claiming = false;
    if (st == ST_OK)
        learn(row);
    move_on(row->of);
    tell(row, st);
}

/* --- handing back ----------------------------------------------------------------------------------------------------- */

/* What is not used in a second, once it is as much again. */
static void trim(struct share_row *row, int64_t now_s)
{
    int64_t kept_units = row->is_limited ? recent_units(row, now_s) : 0;
    int64_t less_units = row->held_units - (row->in_hand_units - kept_units);

    if (row->is_claiming || row->in_hand_units <= 2 * kept_units)
        return;
    (void)claim(row, less_units, less_units);
}

/* Also at the window's end, so that what is shown is of the present one. */
static void on_trim(struct timer *timer)
{
    struct shares *shares = container_of(timer, struct shares, trim);
    int64_t now_us = quota_now_us(shares->quota);

    move_on(shares);
    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];

        trim(row, now_us / US_PER_S);
        if (row->in_hand_units > 0)
            trim_within(shares, TRIM_US);
        else if (row->held_units > 0)
            trim_within(shares, MAX(row->window.end_s * US_PER_S - now_us, TRIM_US));
    }
}

/* --- the interface ---------------------------------------------------------------------------------------------------- */

void shares_init(struct shares *shares, struct quota *quota, struct stats *stats)
{
    memset(shares, 0, sizeof(*shares));
    shares->quota = quota;
    shares->stats = stats;
    timer_init(&shares->trim, on_trim);
    /* Nobody else ever counts on from here. */
    if (getrandom(&shares->next_holder, sizeof(shares->next_holder), 0) < 0)
        shares->next_holder = (uint64_t)quota_now_us(quota) << 8;
    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];

        row->of = shares;
        row->op.done = on_claimed;
        list_init(&row->waiters);
        atomic_init(&row->seen_limit_units, -1);
        atomic_init(&row->seen_held_units, 0);
        atomic_init(&row->seen_in_hand_units, 0);
    }
}

/* A row without a limit stays in its window until what is in hand has been handed back. */
void shares_configure(struct shares *shares, const struct policy *policy)
{
    shares->policy = policy;
    for (int i = 0; i < SERVICE_ROWS; i++)
        shares->rows[i].is_limited = false;
    for (int i = 0; i < policy->service_len; i++) {
        struct share_row *row = &shares->rows[service_row(&policy->service[i])];

        row->is_limited = true;
        row->rule = policy->service[i];
        row->nothing_until_us = 0;
        row->enough_until_us = 0;
    }
    for (int i = 0; i < SERVICE_ROWS; i++)
        show(&shares->rows[i]);
}

void share_init(struct share_hold *hold, int64_t images, int64_t credit_units)
{
    *hold = (struct share_hold){.images = images, .credit_units = credit_units, .refused_by = -1};
    list_init(&hold->waiting);
}

enum status shares_take(struct shares *shares, struct share_hold *hold, struct op *op)
{
    ASSERT(hold->state == SHARE_NONE);
    move_on(shares);
    return attempt(shares, hold, op, false);
}

bool shares_would_refuse(struct shares *shares, struct share_hold *hold)
{
    struct share_row *lacking;

    move_on(shares);
    return judge(shares, hold, false, &lacking) == ST_LIMIT;
}

void shares_settle(struct shares *shares, struct share_hold *hold, int64_t used_images)
{
    int64_t left_images = hold->images - MIN(MAX(used_images, 0), hold->images);

    if (hold->state != SHARE_TAKEN)
        return;
    hold->state = SHARE_SETTLED;
    for (int i = 0; i < SERVICE_ROWS && left_images > 0; i++) {
        struct share_row *row = &shares->rows[i];

        if (hold->holders[i] == 0 || hold->holders[i] != row->holder)
            continue;
        row->in_hand_units += units_of(row, hold, left_images);
        show(row);
        trim_within(shares, TRIM_US);
    }
}

bool shares_look(const struct shares *shares, int row, struct share_view *out)
{
    const struct share_row *r = &shares->rows[row];

    out->limit_units = atomic_load_explicit(&r->seen_limit_units, memory_order_relaxed);
    out->held_units = atomic_load_explicit(&r->seen_held_units, memory_order_relaxed);
    out->in_hand_units = atomic_load_explicit(&r->seen_in_hand_units, memory_order_relaxed);
    return out->limit_units >= 0;
}

void shares_close(struct shares *shares)
{
    for (int i = 0; i < SERVICE_ROWS; i++) {
        struct share_row *row = &shares->rows[i];
        int64_t used_units = row->held_units - row->in_hand_units;

        ASSERT(list_is_empty(&row->waiters));
        op_cancel(&row->op);
        row->is_claiming = false;
        if (row->in_hand_units > 0)
            (void)claim(row, used_units, used_units);
        op_cancel(&row->op);
    }
    timer_clear(&shares->trim); /* the last claims may have set it */
}
