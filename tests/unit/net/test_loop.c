/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop.h"

static struct loop *loop;
static char trace[64];

static void begin(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
    trace[0] = '\0';
}

static void finish(void)
{
    loop_free(&loop);
    cr_assert_null(loop);
}

TestSuite(loop, .init = begin, .fini = finish);

struct tracer {
    struct turn_hook hook;
    struct timer timer;
    struct retired retired;
    const char *letter;
    struct tracer *asks_for; /* its hook, when run */
};

static void on_hook(struct turn_hook *hook)
{
    struct tracer *tracer = container_of(hook, struct tracer, hook);

    strcat(trace, tracer->letter);
    if (tracer->asks_for)
        loop_at_turn_end(loop, &tracer->asks_for->hook);
}

static void on_timer(struct timer *timer)
{
    struct tracer *tracer = container_of(timer, struct tracer, timer);

    strcat(trace, "t");
    loop_at_turn_end(loop, &tracer->hook);
}

static void on_free(struct retired *retired)
{
    UNUSED(retired);
    strcat(trace, "f");
}

static void tracer_init(struct tracer *tracer, const char *letter)
{
    *tracer = (struct tracer){.letter = letter};
    turn_hook_init(&tracer->hook, on_hook);
    timer_init(&tracer->timer, on_timer);
}

Test(loop, hooks_then_retired)
{
    struct tracer a;
    struct tracer b;

    tracer_init(&a, "a");
    tracer_init(&b, "b");
    a.asks_for = &b;
    loop_retire(loop, &a.retired, on_free);
    loop_at_turn_end(loop, &a.hook);
    loop_at_turn_end(loop, &a.hook);
    cr_assert_str_eq(trace, "");
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "abf", "the turn did not wait, and ran all of it");
    loop_run_once(loop, 0);
    cr_assert_str_eq(trace, "abf", "once");
}

Test(loop, last_hooks_come_behind_all_that_the_others_ask_for)
{
    struct tracer a, b, last;

    tracer_init(&a, "a");
    tracer_init(&b, "b");
    tracer_init(&last, "l");
    a.asks_for = &b;
    loop_at_turn_last(loop, &last.hook);
    loop_at_turn_last(loop, &last.hook);
    loop_at_turn_end(loop, &a.hook);
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "abl", "the turn did not wait");
    last.asks_for = &b;
    loop_at_turn_last(loop, &last.hook);
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "abllb", "what it asks for runs in the same turn");
    loop_at_turn_last(loop, &last.hook);
    turn_hook_cancel(&last.hook);
    loop_run_once(loop, 0);
    cr_assert_str_eq(trace, "abllb");
}

Test(loop, cancelled_hooks_do_not_run)
{
    struct tracer a;

    tracer_init(&a, "a");
    turn_hook_cancel(&a.hook);
    loop_at_turn_end(loop, &a.hook);
    turn_hook_cancel(&a.hook);
    loop_at_next_turn(loop, &a.hook);
    turn_hook_cancel(&a.hook);
    loop_run_once(loop, 0);
    cr_assert_str_eq(trace, "");
}

static void ask_for_next_turn(struct turn_hook *hook)
{
    strcat(trace, "n");
    loop_at_next_turn(loop, hook);
}

Test(loop, next_turn_is_not_this_turn)
{
    struct tracer a;

    tracer_init(&a, "a");
    a.hook.run = ask_for_next_turn;
    loop_at_next_turn(loop, &a.hook);
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "n");
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "nn");
    turn_hook_cancel(&a.hook);
}

Test(loop, timers_fire_before_hooks_and_not_early)
{
    struct tracer a;
    int64_t deadline_us = loop_now_us(loop) + 20000;

    tracer_init(&a, "a");
    timer_set(loop, &a.timer, deadline_us);
    while (timer_is_set(&a.timer))
        loop_run_once(loop, -1);
    cr_assert_geq(clock_monotonic_us(), deadline_us);
    cr_assert_str_eq(trace, "ta");
}

Test(loop, a_turn_waits_no_longer_than_told)
{
    int64_t began_us = clock_monotonic_us();

    loop_run_once(loop, 10);
    cr_assert_lt(clock_monotonic_us() - began_us, 5000000);
    loop_run_once(loop, 0);
}

static int64_t now_in_turn[2];

static void read_clock(struct turn_hook *hook)
{
    UNUSED(hook);
    now_in_turn[0] = loop_now_us(loop);
    int64_t until_us = clock_monotonic_us() + 50;

    while (clock_monotonic_us() < until_us)
        ;
    now_in_turn[1] = loop_now_us(loop);
}

static int64_t ms_from_now(int ms)
{
    return clock_monotonic_us() + (int64_t)ms * 1000;
}

/* Turns that nothing else ends, until the timer fires. */
static int64_t fires_after_us(struct tracer *tracer)
{
    int64_t begin_us = clock_monotonic_us();

    while (timer_is_set(&tracer->timer))
        loop_run_once(loop, -1);
    return clock_monotonic_us() - begin_us;
}

Test(loop, timers_end_a_wait_again_and_again, .timeout = 10)
{
    struct tracer near, far;

    tracer_init(&near, "n");
    tracer_init(&far, "f");
    timer_set(loop, &far.timer, ms_from_now(60000));
    loop_run_once(loop, 1);
    for (int i = 0; i < 5; i++) {
        timer_set(loop, &near.timer, ms_from_now(20));
        cr_assert_geq(fires_after_us(&near), 20000);
    }
    cr_assert_str_eq(trace, "tntntntntn", "each time it came before the far one");
    timer_clear(&far.timer);
}

static void on_byte(evutil_socket_t fd, short what, void *owner)
{
    char byte;

    UNUSED(what);
    UNUSED(owner);
    cr_assert_eq(read(fd, &byte, 1), 1);
}

Test(loop, a_time_that_comes_between_two_waits_ends_the_second, .timeout = 10)
{
    struct tracer tracer;
    int pipe_of[2];

    cr_assert_eq(pipe(pipe_of), 0);
    struct event *event = event_new(loop_base(loop), pipe_of[0], EV_READ, on_byte, NULL);

    cr_assert(event && event_add(event, NULL) == 0);
    tracer_init(&tracer, "a");
    timer_set(loop, &tracer.timer, ms_from_now(20));
    cr_assert_eq(write(pipe_of[1], "x", 1), 1);
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "", "the byte ended the wait");
    usleep(50000);
    loop_run_once(loop, -1);
    cr_assert_str_eq(trace, "ta");
    event_free(event);
    close(pipe_of[0]);
    close(pipe_of[1]);
}

Test(loop, the_clock_stands_still_within_a_turn)
{
    struct tracer a;

    tracer_init(&a, "a");
    a.hook.run = read_clock;
    loop_at_turn_end(loop, &a.hook);
    loop_run_once(loop, 0);
    cr_assert_gt(now_in_turn[0], 0);
    cr_assert_eq(now_in_turn[0], now_in_turn[1]);
    cr_assert_gt(loop_now_us(loop), now_in_turn[1], "between turns it is read each time");
    cr_assert_gt(loop_wall_us(loop), INT64_C(1700000000000000));
    cr_assert_eq(loop_turn(loop), 1);
}

static void stop(struct timer *timer)
{
    UNUSED(timer);
    loop_stop(loop);
}

Test(loop, runs_until_stopped)
{
    struct timer timer;

    timer_init(&timer, stop);
    timer_set(loop, &timer, loop_now_us(loop) + 1);
    loop_run(loop);
    cr_assert_not(timer_is_set(&timer));
    loop_stop(loop);
    loop_run(loop);
    cr_assert_not_null(loop_base(loop));
}

static void nest(struct turn_hook *hook)
{
    UNUSED(hook);
    loop_run_once(loop, 0);
}

Test(loop, a_turn_within_a_turn_is_a_bug, .signal = SIGABRT)
{
    struct turn_hook hook;

    log_set_level(LOG_NONE);
    turn_hook_init(&hook, nest);
    loop_at_turn_end(loop, &hook);
    loop_run_once(loop, 0);
}

Test(loop, free_forgets_what_is_left)
{
    struct tracer a;

    tracer_init(&a, "a");
    timer_set(loop, &a.timer, loop_now_us(loop) + 1000000);
    loop_at_next_turn(loop, &a.hook);
    loop_retire(loop, &a.retired, on_free);
    loop_free(&loop);
    cr_assert_str_eq(trace, "f");
    cr_assert_not(timer_is_set(&a.timer));
    turn_hook_cancel(&a.hook);
    loop_free(&loop);
}
