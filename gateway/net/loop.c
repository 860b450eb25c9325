/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - turns over a libevent base.      Runs on: the loop's thread.
 * libevent waits and calls; timers, hooks and retired objects are looked after between two waits.  An alarm, which is a timer
 * of the kernel's, ends a wait when the wheel wants it; it is armed anew only for an earlier time, or once it has gone off.
 * A timeout of the wait itself would be armed and disarmed each time that this thread sleeps. */
#include "net/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/wheel.h"

struct loop {
    struct event_base *base; /* owned */
    int alarm_fd;            /* owned */
    struct event *alarm;     /* owned */
    int64_t alarm_us;        /* when it goes off; INT64_MAX: it is not armed */
    int64_t now_us, wall_us; /* 0: not read in this turn */
    bool is_in_turn;
    bool is_stopping;
    uint64_t turn;
    struct list next_turn; /* hooks */
    struct list turn_end;  /* hooks */
    struct list turn_last; /* hooks */
    struct retired *retired;
    struct wheel wheel;
};

/* It need not be read: it is told of once, and armed anew it is not readable. */
static void on_alarm(evutil_socket_t fd, short what, void *owner)
{
    struct loop *loop = owner;

    UNUSED(fd);
    UNUSED(what);
    loop->alarm_us = INT64_MAX;
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();

    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
                                      EVENT_BASE_FLAG_NO_CACHE_TIME);
    struct event_base *base = event_base_new_with_config(config);

    event_config_free(config);
    return base;
}

static void close_alarm(struct loop *loop)
{
    if (loop->alarm)
        event_free(loop->alarm);
    if (loop->alarm_fd >= 0)
        close(loop->alarm_fd);
}

static bool open_alarm(struct loop *loop)
{
    loop->alarm_us = INT64_MAX;
    loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->alarm_fd < 0)
        return false;
    loop->alarm =
        event_new(loop->base, loop->alarm_fd, EV_READ | EV_ET | EV_PERSIST, on_alarm, loop);
    return loop->alarm && event_add(loop->alarm, NULL) == 0;
}

enum status loop_new(struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return ST_NOMEM;
    loop->base = base_new();
    if (!loop->base)
        goto fail_base;
    if (!open_alarm(loop))
        goto fail_alarm;
    list_init(&loop->next_turn);
    list_init(&loop->turn_end);
    list_init(&loop->turn_last);
    wheel_init(&loop->wheel, clock_monotonic_us());
    *out = loop;
    return ST_OK;

fail_alarm:
    close_alarm(loop);
    event_base_free(loop->base);
fail_base:
    free(loop);
    return ST_NOMEM;
}

static void free_retired(struct loop *loop)
{
    while (loop->retired) {
        struct retired *retired = loop->retired;

        loop->retired = retired->next;
        retired->free(retired);
    }
}

static void forget_hooks(struct list *hooks)
{
    while (list_pop_front(hooks))
        ;
}

void loop_free(struct loop **loop_ptr)
{
    struct loop *loop = *loop_ptr;

    *loop_ptr = NULL;
    if (!loop)
        return;
    free_retired(loop);
    forget_hooks(&loop->next_turn);
    forget_hooks(&loop->turn_end);
    forget_hooks(&loop->turn_last);
    wheel_fini(&loop->wheel);
    close_alarm(loop);
    event_base_free(loop->base);
    free(loop);
}

/* The first one.  False: there is none. */
static bool run_hook(struct list *hooks)
{
    struct list *link = list_pop_front(hooks);

    if (!link)
        return false;
    struct turn_hook *hook = container_of(link, struct turn_hook, link);

    hook->run(hook);
    return true;
}

static void run_hooks(struct list *hooks)
{
    while (run_hook(hooks))
        ;
}

static void end_turn(struct loop *loop)
{
    do {
        run_hooks(&loop->turn_end);
    } while (run_hook(&loop->turn_last));
}

/* Sees to it that the wait ends by then. */
static void arm_alarm(struct loop *loop, int64_t at_us)
{
    if (at_us >= loop->alarm_us)
        return;
    int64_t wait_us = MAX(at_us - clock_monotonic_us(), 1); /* 0 would disarm it */
    struct itimerspec wait = {
        .it_value = {.tv_sec = (time_t)(wait_us / 1000000), .tv_nsec = wait_us % 1000000 * 1000}};

    ASSERT(timerfd_settime(loop->alarm_fd, 0, &wait, NULL) == 0);
    loop->alarm_us = at_us;
}

static bool has_work_at_hand(const struct loop *loop)
{
    return !list_is_empty(&loop->next_turn) || !list_is_empty(&loop->turn_end) ||
           !list_is_empty(&loop->turn_last) || loop->retired;
}

static void wait_and_call(struct loop *loop, int max_wait_ms)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

    if (max_wait_ms == 0) {
        flags |= EVLOOP_NONBLOCK;
    } else {
        arm_alarm(loop, wheel_next_us(&loop->wheel));
        if (max_wait_ms > 0)
            arm_alarm(loop, clock_monotonic_us() + (int64_t)max_wait_ms * 1000);
    }
    ASSERT(event_base_loop(loop->base, flags) >= 0);
}

void loop_run_once(struct loop *loop, int max_wait_ms)
{
    struct list asked_before;

    ASSERT(!loop->is_in_turn);
    loop->is_in_turn = true;
    loop->now_us = 0;
    loop->wall_us = 0;
    loop->turn++;
    bool has_work = has_work_at_hand(loop);

    list_move(&loop->next_turn, &asked_before);
    wait_and_call(loop, has_work ? 0 : max_wait_ms);
    run_hooks(&asked_before);
    wheel_advance(&loop->wheel, loop_now_us(loop));
    end_turn(loop);
    free_retired(loop);
    loop->is_in_turn = false;
}

void loop_run(struct loop *loop)
{
    while (!loop->is_stopping)
        loop_run_once(loop, -1);
    loop->is_stopping = false;
}

void loop_stop(struct loop *loop)
{
    loop->is_stopping = true;
}

int64_t loop_now_us(struct loop *loop)
{
    if (loop->now_us == 0 || !loop->is_in_turn)
        loop->now_us = clock_monotonic_us();
    return loop->now_us;
}

int64_t loop_wall_us(struct loop *loop)
{
    if (loop->wall_us == 0 || !loop->is_in_turn)
        loop->wall_us = clock_wall_us();
    return loop->wall_us;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

uint64_t loop_turn(const struct loop *loop)
{
    return loop->turn;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    list_init(&timer->link);
    timer->deadline_us = 0;
    timer->fire = fire;
}

void timer_set(struct loop *loop, struct timer *timer, int64_t deadline_us)
{
    wheel_set(&loop->wheel, timer, deadline_us);
}

void turn_hook_init(struct turn_hook *hook, void (*run)(struct turn_hook *hook))
{
    list_init(&hook->link);
    hook->run = run;
}

void loop_at_turn_end(struct loop *loop, struct turn_hook *hook)
{
    if (list_is_empty(&hook->link))
        list_push_back(&loop->turn_end, &hook->link);
}

void loop_at_turn_last(struct loop *loop, struct turn_hook *hook)
{
    if (list_is_empty(&hook->link))
        list_push_back(&loop->turn_last, &hook->link);
}

void loop_at_next_turn(struct loop *loop, struct turn_hook *hook)
{
    if (list_is_empty(&hook->link))
        list_push_back(&loop->next_turn, &hook->link);
}

void turn_hook_cancel(struct turn_hook *hook)
{
    list_remove(&hook->link);
}

void loop_retire(struct loop *loop, struct retired *retired,
                 void (*free_retired_object)(struct retired *retired))
{
    retired->free = free_retired_object;
    retired->next = loop->retired;
    loop->retired = retired;
}
