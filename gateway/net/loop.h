/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - one thread's event loop: descriptors (libevent), timers, work for the end of the turn, and retired objects.
 *
 * A turn is one wait for events and the callbacks that follow it.  After them, in this order: turn hooks run (one write
 * for all that was queued in the turn), then the last ones (answers, which must not overtake that), then retired objects
 * are freed.  Everything here belongs to the loop's thread. */
#pragma once

#include "base/list.h"
#include "base/op.h"

struct event_base;

/* A deadline, re-armed lazily: moving it later costs a store.  Granularity 8 ms, never early. */
struct timer {
    struct list link;
    int64_t deadline_us; /* 0: not set */
    void (*fire)(struct timer *timer);
};

/* Runs once, at the end of the turn in which it was asked for, or in the next turn. */
struct turn_hook {
    struct list link;
    void (*run)(struct turn_hook *hook);
};

/* An object that callbacks may still reach in this turn. */
struct retired {
    struct retired *next;
    void (*free)(struct retired *retired);
};

struct loop;

MUST_CHECK enum status loop_new(struct loop **out);
void loop_free(struct loop **loop);
/* Until loop_stop(); one turn with loop_run_once (waits about max_wait_ms at most; 0 polls, negative is for ever). */
void loop_run(struct loop *loop);
void loop_run_once(struct loop *loop, int max_wait_ms);
/* loop_run() returns at the end of this turn; before it, it returns at once. */
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC, read once a turn, after the wait. */
int64_t loop_now_us(struct loop *loop);
/* CLOCK_REALTIME, likewise. */
int64_t loop_wall_us(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
/* Counts turns; for values that are computed once a turn. */
uint64_t loop_turn(const struct loop *loop);

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* deadline_us > 0.  fire() is called once, in a turn after the deadline has passed, never inside this call; setting again moves the
 * deadline.  fire() may free its owner, and set and clear timers, its own too. */
void timer_set(struct loop *loop, struct timer *timer, int64_t deadline_us);
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->deadline_us != 0;
}
static inline void timer_clear(struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    list_remove(&timer->link);
    timer->deadline_us = 0;
}

void turn_hook_init(struct turn_hook *hook, void (*run)(struct turn_hook *hook));
/* Harmless when already asked for.  A hook may ask for others; they run in the same turn. */
void loop_at_turn_end(struct loop *loop, struct turn_hook *hook);
/* Behind all of those, and behind what they ask for. */
void loop_at_turn_last(struct loop *loop, struct turn_hook *hook);
/* Runs it in the next turn, before that turn's hooks, and keeps that turn from waiting: for what is known already but
 * must not be told inside the present call. */
void loop_at_next_turn(struct loop *loop, struct turn_hook *hook);
void turn_hook_cancel(struct turn_hook *hook);

/* free() is called at the end of this turn, after the hooks; of the next one when called outside a turn. */
void loop_retire(struct loop *loop, struct retired *retired, void (*free)(struct retired *retired));
