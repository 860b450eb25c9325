/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "net/wheel.h"

#define START_US INT64_C(5000000123)
#define MS       INT64_C(1000)
#define SECOND   INT64_C(1000000)

static struct wheel wheel;

struct alarm {
    struct timer timer;
    int fired;
    int64_t again_us; /* set anew to this when fired; 0: not */
};

static void count(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    alarm->fired++;
    if (alarm->again_us)
        wheel_set(&wheel, timer, alarm->again_us);
}

static struct alarm alarm_at(void)
{
    return (struct alarm){.fired = 0};
}

static void begin(void)
{
    wheel_init(&wheel, START_US);
}

/* At which time, to the wheel's own asking, a timer fires. */
static int64_t fired_at(struct alarm *alarm)
{
    while (alarm->fired == 0) {
        int64_t next_us = wheel_next_us(&wheel);

        cr_assert_neq(next_us, INT64_MAX);
        wheel_advance(&wheel, next_us);
        if (alarm->fired)
            return next_us;
    }
    return 0;
}

Test(wheel, fires_never_early_and_within_a_tick, .init = begin)
{
    static const int64_t after_us[] = {
        1,           7999,         8000,         8001,         100 * MS,
        2039 * MS,   2040 * MS,    2048 * MS,    2049 * MS,    5 * SECOND,
        60 * SECOND, 520 * SECOND, 523 * SECOND, 600 * SECOND, 3600 * SECOND};

    for (size_t i = 0; i < ARRAY_LEN(after_us); i++) {
        struct alarm alarm = alarm_at();
        int64_t deadline_us = wheel.tick * WHEEL_TICK_US + after_us[i];

        timer_init(&alarm.timer, count);
        wheel_set(&wheel, &alarm.timer, deadline_us);
        int64_t at_us = fired_at(&alarm);

        cr_assert_geq(at_us, deadline_us);
        cr_assert_leq(at_us, deadline_us + WHEEL_TICK_US, "after %ld", (long)after_us[i]);
        cr_assert_not(timer_is_set(&alarm.timer));
        cr_assert_eq(wheel_next_us(&wheel), INT64_MAX);
    }
}

Test(wheel, moving_later_is_lazy_and_right, .init = begin)
{
    struct alarm alarm = alarm_at();

    timer_init(&alarm.timer, count);
    wheel_set(&wheel, &alarm.timer, START_US + 100 * MS);
    wheel_set(&wheel, &alarm.timer, START_US + 30 * SECOND);
    wheel_advance(&wheel, START_US + 200 * MS);
    cr_assert_eq(alarm.fired, 0);
    wheel_set(&wheel, &alarm.timer, START_US + 40 * SECOND);
    int64_t at_us = fired_at(&alarm);

    cr_assert_geq(at_us, START_US + 40 * SECOND);
    cr_assert_leq(at_us, START_US + 40 * SECOND + WHEEL_TICK_US);
}

Test(wheel, moving_earlier, .init = begin)
{
    struct alarm alarm = alarm_at();

    timer_init(&alarm.timer, count);
    wheel_set(&wheel, &alarm.timer, START_US + 60 * SECOND);
    wheel_set(&wheel, &alarm.timer, START_US + 20 * MS);
    cr_assert_leq(fired_at(&alarm), START_US + 20 * MS + WHEEL_TICK_US);
    wheel_advance(&wheel, START_US + 90 * SECOND);
    cr_assert_eq(alarm.fired, 1);
}

Test(wheel, a_deadline_in_the_past_fires_at_the_next_tick, .init = begin)
{
    struct alarm alarm = alarm_at();

    timer_init(&alarm.timer, count);
    wheel_set(&wheel, &alarm.timer, 1);
    cr_assert_eq(alarm.fired, 0, "never inside the call");
    cr_assert_leq(wheel_next_us(&wheel), START_US + WHEEL_TICK_US);
    wheel_advance(&wheel, START_US + WHEEL_TICK_US);
    cr_assert_eq(alarm.fired, 1);
}

Test(wheel, cleared_timers_do_not_fire, .init = begin)
{
    struct alarm alarm = alarm_at();

    timer_init(&alarm.timer, count);
    timer_clear(&alarm.timer);
    wheel_set(&wheel, &alarm.timer, START_US + 50 * MS);
    timer_clear(&alarm.timer);
    timer_clear(&alarm.timer);
    cr_assert_eq(wheel_next_us(&wheel), INT64_MAX, "a stale mark wakes nobody");
    wheel_advance(&wheel, START_US + SECOND);
    cr_assert_eq(alarm.fired, 0);
}

Test(wheel, a_timer_may_set_itself_again, .init = begin)
{
    struct alarm alarm = alarm_at();

    timer_init(&alarm.timer, count);
    alarm.again_us = START_US + 10 * SECOND;
    wheel_set(&wheel, &alarm.timer, START_US + 8 * MS);
    wheel_advance(&wheel, START_US + SECOND);
    cr_assert_eq(alarm.fired, 1);
    alarm.again_us = 0;
    wheel_advance(&wheel, START_US + 11 * SECOND);
    cr_assert_eq(alarm.fired, 2);
    cr_assert_not(timer_is_set(&alarm.timer));
}

static struct alarm victim;
static struct alarm *owned;

static void clear_the_victim(struct timer *timer)
{
    UNUSED(timer);
    timer_clear(&victim.timer);
}

static void free_the_owner(struct timer *timer)
{
    free(container_of(timer, struct alarm, timer));
    owned = NULL;
}

Test(wheel, firing_may_clear_and_free, .init = begin)
{
    struct alarm killer = alarm_at();
    struct alarm after = alarm_at();

    owned = calloc(1, sizeof(*owned));
    timer_init(&killer.timer, clear_the_victim);
    timer_init(&victim.timer, count);
    timer_init(&owned->timer, free_the_owner);
    timer_init(&after.timer, count);
    wheel_set(&wheel, &killer.timer, START_US + 8 * MS);
    wheel_set(&wheel, &victim.timer, START_US + 8 * MS);
    wheel_set(&wheel, &owned->timer, START_US + 8 * MS);
    wheel_set(&wheel, &after.timer, START_US + 8 * MS);
    wheel_advance(&wheel, START_US + SECOND);
    cr_assert_eq(victim.fired, 0);
    cr_assert_null(owned);
    cr_assert_eq(after.fired, 1);
}

Test(wheel, many_timers_after_a_long_sleep, .init = begin)
{
    static struct alarm alarms[2000];

    srand(1);
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
        timer_init(&alarms[i].timer, count);
        wheel_set(&wheel, &alarms[i].timer, START_US + 1 + rand() % (700 * SECOND));
    }
    for (size_t i = 0; i < ARRAY_LEN(alarms); i += 3)
        timer_clear(&alarms[i].timer);
    wheel_advance(&wheel, START_US + 701 * SECOND);
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++)
        cr_assert_eq(alarms[i].fired, i % 3 != 0, "timer %zu", i);
}

Test(wheel, fini_clears, .init = begin)
{
    struct alarm near = alarm_at();
    struct alarm far = alarm_at();

    timer_init(&near.timer, count);
    timer_init(&far.timer, count);
    wheel_set(&wheel, &near.timer, START_US + 8 * MS);
    wheel_set(&wheel, &far.timer, START_US + 8 * SECOND);
    wheel_fini(&wheel);
    cr_assert_not(timer_is_set(&near.timer));
    cr_assert_not(timer_is_set(&far.timer));
}
