/* SPDX-License-Identifier: Apache-2.0 */
/* test_riding.c - ends of holds that leave others no more than before leave with the next question, or soon after. */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "quota/redis.h"
#include "unit/quota/rig.h"

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_REDIS);
    rig_redis_kill(&rig);
    rig.server.port = 0;
    rig_redis_start(&rig);
    rig.config.store.path = NULL; /* nothing rides on a Unix socket */
    rig.config.store.hosts_len = 1;
    rig.config.store.hosts[0] = (struct store_host){"127.0.0.1", rig.server.port};
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(redis_riding, .init = up, .fini = down, .timeout = 60);

static struct redis_link *link_of(int i)
{
    return redis_route_link(&((struct redis_quota *)rig.q[i])->route, 1);
}

static bool is_held_back(void)
{
    return link_of(0)->pushed_bytes < link_of(0)->written_bytes;
}

/* Held, by a link that is owed nothing. */
static void hold(struct reservation *r, const struct limit *limits, int len, int64_t images)
{
    rig_reservation_of(r, 1, images, limits, len);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
    RIG_UNTIL(&rig, list_is_empty(&link_of(0)->calls));
}

static void hold_of_day(struct reservation *r, int64_t images)
{
    struct limit day = rig_limit(1, LIMIT_DAY, 90000);

    hold(r, &day, 1, images);
}

Test(redis_riding, alone_it_leaves_soon)
{
    struct reservation r;
    int64_t before_us;

    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK, "nobody waits for that");
    cr_assert(is_held_back());
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 1, "Redis has not seen it");
    before_us = clock_monotonic_us();
    RIG_UNTIL(&rig, list_is_empty(&link_of(0)->calls));
    cr_assert_lt(clock_monotonic_us() - before_us, 150000,
                 "the kernel would have sent it after 200 ms");
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
}

Test(redis_riding, it_leaves_with_the_next_question)
{
    struct reservation r, next;

    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK);
    cr_assert(is_held_back());
    rig_reservation(&next, 1, 0, 8, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &next), ST_LIMIT, "it finds two used");
    cr_assert_not(is_held_back());
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 0);
}

/* A commit whose settle comes later; and then that. */
Test(redis_riding, a_commit_rides_too)
{
    struct reservation r;

    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, -1), ST_OK);
    cr_assert(is_held_back());
    quota_settle(rig.q[0], &r, 2);
    loop_run_once(rig.loop, 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 0);
}

Test(redis_riding, what_gives_back_leaves_at_once)
{
    struct limit limits[] = {rig_limit(1, LIMIT_DAY, 9000), rig_limit(1, LIMIT_IN_FLIGHT, 9000)};
    struct reservation r;

    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
    cr_assert_not(is_held_back(), "an image comes back");
    hold(&r, limits, 2, 1);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
    cr_assert_not(is_held_back(), "another may be in flight");
}

Test(redis_riding, what_waits_for_the_reply_leaves_at_once)
{
    struct reservation r;

    rig.config.commit = COMMIT_ACKNOWLEDGED;
    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK);
    cr_assert_not(is_held_back());
    cr_assert_eq(rig_redis(&rig, "ZCARD mg:{1}:h"), 0);
}

/* Others could take what is given back before the charge comes there. */
Test(redis_riding, what_the_lease_could_overtake_leaves_at_once)
{
    struct reservation r;

    rig_start(&rig);
    hold_of_day(&r, 2);
    r.parts[0].sure_until_us = quota_now_us(rig.q[0]) + 200000;
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK);
    cr_assert_not(is_held_back());
}

/* Else the kernel would drop what it holds, should this process die with that reply unread. */
Test(redis_riding, while_a_reply_is_due_nothing_is_held_back)
{
    struct reservation r, other;
    struct rig_wait wait, waits;

    rig_start(&rig);
    hold_of_day(&r, 1);
    rig_reservation(&other, 1, 0, 1, 9);
    rig_wait_init(&wait);
    rig_wait_init(&waits);
    kill(rig.server.pid, SIGSTOP);
    cr_assert_eq(quota_reserve(rig.q[0], &other, &waits.op), ST_PENDING);
    loop_run_once(rig.loop, 0);
    cr_assert_eq(quota_commit(rig.q[0], &r, 1, &wait.op), ST_PENDING);
    loop_run_once(rig.loop, 0);
    cr_assert(wait.is_done);
    cr_assert_not(is_held_back());
    kill(rig.server.pid, SIGCONT);
    cr_assert_eq(rig_ended(&rig, &waits, ST_PENDING), ST_OK);
    quota_settle(rig.q[0], &other, 0);
}

/* No more is held than fits any segment: a part must not leave alone. */
Test(redis_riding, many_leave_at_once)
{
    struct reservation r[12];

    rig_start(&rig);
    for (int i = 0; i < 12; i++)
        hold_of_day(&r[i], 1);
    for (int i = 0; i < 12; i++)
        quota_settle(rig.q[0], &r[i], 1);
    loop_run_once(rig.loop, 0);
    cr_assert_not(is_held_back());
    RIG_UNTIL(&rig, list_is_empty(&link_of(0)->calls));
}

/* In a process of its own, which dies as soon as it was told that the charge is on its way. */
static void die_with_a_charge_held_back(void)
{
    struct reservation r;

    alarm(20);
    rig_start(&rig);
    hold_of_day(&r, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK);
    if (is_held_back())
        kill(getpid(), SIGKILL);
    _exit(1);
}

Test(redis_riding, a_process_that_is_killed_leaves_it_to_the_kernel)
{
    for (int i = 0; i < 20; i++) {
        pid_t child = rig_fork(&rig);
        int status;

        if (child == 0)
            die_with_a_charge_held_back();
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        for (int wait_ms = 0; rig_redis(&rig, "ZCARD mg:{1}:h") != 0; wait_ms++) {
            cr_assert_lt(wait_ms, 2000);
            usleep(1000);
        }
        rig_redis(&rig, "FLUSHDB");
    }
}
