/* SPDX-License-Identifier: Apache-2.0 */
/* test_embedded.c - what only the embedded store meets: being killed, a slow or full disk, a second process. */

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "quota/embedded.h"
#include "unit/quota/rig.h"

static struct rig rig;

static void up(void)
{
    rig_init(&rig, STORE_EMBEDDED);
}

static void down(void)
{
    rig_fini(&rig);
}

TestSuite(quota_embedded_trouble, .init = up, .fini = down, .timeout = 30);

static void hold(struct reservation *r, int account, int64_t images)
{
    rig_reservation(r, account, 0, images, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], r), ST_OK);
}

/* In a process of its own: everything that was acknowledged when it tells must outlive it. */
static void work_until_killed(int tell)
{
    struct reservation held, committed, settled;

    rig_start(&rig);
    hold(&held, 1, 1);
    hold(&committed, 1, 2);
    hold(&settled, 1, 3);
    cr_assert_eq(rig_commit(&rig, rig.q[1], &committed, -1), ST_OK);
    cr_assert_eq(rig_commit(&rig, rig.q[1], &settled, 1), ST_OK);
    cr_assert_eq(write(tell, &held, sizeof(held)), sizeof(held));
    cr_assert_eq(write(tell, &committed, sizeof(committed)), sizeof(committed));
    for (;;) { /* killed in the middle of whatever this does */
        hold(&settled, 2, 1);
        quota_settle(rig.q[0], &settled, 0);
    }
}

Test(quota_embedded_trouble, nothing_acknowledged_is_lost_by_kill_9)
{
    struct reservation held, committed;
    int pipe_of[2];

    cr_assert_eq(pipe(pipe_of), 0);

    pid_t child = rig_fork(&rig);

    if (child == 0)
        work_until_killed(pipe_of[1]);
    close(pipe_of[1]);
    cr_assert_eq(read(pipe_of[0], &held, sizeof(held)), sizeof(held));
    cr_assert_eq(read(pipe_of[0], &committed, sizeof(committed)), sizeof(committed));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipe_of[0]);
    list_init(&held.live);
    list_init(&committed.live);
    rig_start(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 2 + 1,
                 "what was held came back; what was committed did not");
    cr_assert_eq(rig_used(&rig, 2, 0), 0);
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_embedded_trouble, makes_its_folder_for_itself_alone)
{
    struct stat stat_of;

    snprintf(rig.store_path, sizeof(rig.store_path), "%s/a/b/c", rig.dir);
    rig_start(&rig);
    cr_assert_eq(stat(rig.store_path, &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 0777, 0700);
}

Test(quota_embedded_trouble, a_second_process_is_refused)
{
    struct quota_store *second = NULL;
    char error[CONFIG_ERROR_MAX];

    rig_start(&rig);
    cr_assert_eq(quota_store_open(&rig.config, error, &second), ST_UNAVAILABLE);
    cr_assert(strstr(error, "in use by another process"), "%s", error);
    cr_assert_null(second);
}

Test(quota_embedded_trouble, a_folder_that_cannot_be_made_is_said)
{
    struct quota_store *store;
    char error[CONFIG_ERROR_MAX];

    rig.config.store.path = "/proc/no/such";
    cr_assert_eq(quota_store_open(&rig.config, error, &store), ST_UNAVAILABLE);
    cr_assert(strstr(error, "/proc/no/such"), "%s", error);
}

/* Keeps the store's thread busy until the pipe is written. */
struct block {
    struct mail mail;
    int fd;
};

static void block_thread(struct mail *mail)
{
    char byte;
    ssize_t len = read(container_of(mail, struct block, mail)->fd, &byte, 1);

    UNUSED(len);
}

struct stuck {
    struct block block;
    int pipe_of[2];
};

static void block(struct stuck *stuck)
{
    cr_assert_eq(pipe(stuck->pipe_of), 0);
    stuck->block = (struct block){{.deliver = block_thread}, stuck->pipe_of[0]};
    mailbox_post(((struct embedded_store *)rig.store)->box, &stuck->block.mail);
}

static void unblock(struct stuck *stuck)
{
    cr_assert_eq(write(stuck->pipe_of[1], "x", 1), 1);
    close(stuck->pipe_of[1]);
}

Test(quota_embedded_trouble, an_amend_that_is_too_slow_is_given_up)
{
    struct reservation r, again;
    static struct stuck stuck;

    rig.config.quota_timeout_ms = 20;
    rig_start(&rig);
    block(&stuck);
    rig_reservation(&r, 1, 0, 1, 9);
    again = rig_same(&r);
    cr_assert_eq(rig_amend(&rig, rig.q[0], &r, CHANGE_GRANT, 2000), ST_UNAVAILABLE);
    unblock(&stuck);
    RIG_UNTIL(&rig, rig_amend(&rig, rig.q[0], &again, CHANGE_GRANT, 2000) == ST_OK);
    cr_assert_eq(again.limits[0].granted_units, 2000, "done once");
}

Test(quota_embedded_trouble, a_sync_that_takes_long_holds_nobody_up)
{
    struct reservation r;
    static struct stuck stuck;

    rig_start(&rig);
    block(&stuck);
    for (int i = 0; i < 3; i++) {
        hold(&r, 1, 2);
        cr_assert_eq(rig_commit(&rig, rig.q[i % 2], &r, 1), ST_OK);
    }
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
    unblock(&stuck);
}

Test(quota_embedded_trouble, a_commit_that_is_to_be_acknowledged_waits_for_the_sync)
{
    struct reservation r, cancelled;
    struct rig_wait wait, gone;
    static struct stuck stuck;

    rig.config.commit = COMMIT_ACKNOWLEDGED;
    rig_start(&rig);
    hold(&r, 1, 2);
    hold(&cancelled, 1, 2);
    block(&stuck);
    rig_wait_init(&wait);
    rig_wait_init(&gone);
    cr_assert_eq(quota_commit(rig.q[0], &r, 1, &wait.op), ST_PENDING);
    cr_assert_eq(quota_commit(rig.q[0], &cancelled, 2, &gone.op), ST_PENDING);
    for (int i = 0; i < 5; i++)
        loop_run_once(rig.loop, 1);
    cr_assert(!wait.is_done);
    op_cancel(&gone.op);
    unblock(&stuck);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    rig_quiet(&rig);
    cr_assert(!gone.is_done);
    cr_assert_eq(rig_used(&rig, 1, 0), 3);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(quota_embedded_trouble, commits_wait_for_a_disk_that_fails)
{
    struct reservation r, committed;
    struct rig_wait wait;

    signal(SIGXFSZ, SIG_IGN);
    rig_start(&rig);
    hold(&committed, 1, 2);
    limit_files(4096);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &committed, 1, &wait.op), ST_PENDING);
    RIG_UNTIL(&rig, !quota_store_is_up(rig.store));
    rig_reservation(&r, 1, 0, 1, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert(!wait.is_done);
    limit_files(RLIM_INFINITY);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    cr_assert(quota_store_is_up(rig.store));
    cr_assert_eq(rig_used(&rig, 1, 0), 1);
    cr_assert_eq(rig_held(&rig), 0);
}

/* --- the log and the database --- */

static void set(size_t log_most_bytes, int (*sync)(int fd))
{
    struct embedded_store *store = (struct embedded_store *)rig.store;

    embedded_lock_log(store);
    if (log_most_bytes)
        store->log_most_bytes = log_most_bytes;
    if (sync)
        embedded_log_sync_with(store->log, sync);
    embedded_unlock_log(store);
}

static void take_one(int account)
{
    struct reservation r;

    hold(&r, account, 1);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
}

static int segments(void)
{
    char path[160];
    int found = 0;

    for (int epoch = 1; epoch < 200; epoch++) {
        snprintf(path, sizeof(path), "%s/log.%d", rig.store_path, epoch);
        found += access(path, F_OK) == 0;
    }
    return found;
}

Test(quota_embedded_trouble, the_log_is_saved_and_begun_anew)
{
    struct reservation held, kept;

    rig_start(&rig);
    set(2000, NULL);
    hold(&held, 60, 1);
    hold(&kept, 60, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &kept, -1), ST_OK);
    for (int i = 0; i < 200; i++)
        take_one(i % 40);
    cr_assert_leq(segments(), 3);
    cr_assert_eq(rig_used(&rig, 60, 0), 3);
    rig_stop(&rig);
    rig_start(&rig);
    for (int i = 0; i < 40; i++)
        cr_assert_eq(rig_used(&rig, i, 0), 5);
    cr_assert_eq(rig_used(&rig, 60, 0), 2);
    cr_assert_leq(segments(), 2);
}

#define VICTIMS 8

/* Tells of each image that counts for certain. */
static void take_until_killed(int tell)
{
    rig_start(&rig);
    set(700, NULL);
    for (unsigned char account = 0;; account = (unsigned char)((account + 1) % VICTIMS)) {
        struct reservation r, dropped;

        rig_reservation(&r, account, 0, 2, 100000);
        cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
        rig_reservation(&dropped, account, 0, 3, 100000);
        cr_assert_eq(rig_reserve(&rig, rig.q[1], &dropped), ST_OK);
        cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 1), ST_OK);
        cr_assert_eq(write(tell, &account, 1), 1);
        quota_settle(rig.q[1], &dropped, 0);
    }
}

static void kill_one(int told[VICTIMS], int wanted)
{
    unsigned char account;
    int pipe_of[2];

    cr_assert_eq(pipe(pipe_of), 0);

    pid_t child = rig_fork(&rig);

    if (child == 0)
        take_until_killed(pipe_of[1]);
    close(pipe_of[1]);
    for (int i = 0; i < wanted && read(pipe_of[0], &account, 1) == 1; i++)
        told[account]++;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(pipe_of[0], &account, 1) == 1)
        told[account]++;
    close(pipe_of[0]);
}

/* Whatever it is in the middle of: a record, a new segment, a slice that is saved, or the end of an earlier one's holds. */
static void kill_again_and_again(enum commit_kind commit)
{
    int told[VICTIMS] = {0};
    int untold = 0;

    rig.config.commit = commit;
    for (int round = 1; round <= 12; round++) {
        kill_one(told, 37 * round % 101);
        rig_start(&rig);

        int more = 0;

        for (int i = 0; i < VICTIMS; i++) {
            int used = (int)rig_used(&rig, i, 0);

            cr_assert_geq(used, told[i]);
            more += used - told[i];
        }
        cr_assert_leq(more - untold, 1, "nobody was told of the last one");
        untold = more;
        cr_assert_eq(rig_held(&rig), 0);
        rig_stop(&rig);
    }
}

Test(quota_embedded_trouble, killed_again_and_again_it_counts_what_it_sent, .timeout = 60)
{
    kill_again_and_again(COMMIT_SENT);
}

Test(quota_embedded_trouble, killed_again_and_again_it_counts_what_was_acknowledged, .timeout = 60)
{
    kill_again_and_again(COMMIT_ACKNOWLEDGED);
}

static atomic_int syncs_to_fail;

static int failing_sync(int fd)
{
    if (atomic_load(&syncs_to_fail) == 0)
        return fdatasync(fd);
    atomic_fetch_sub(&syncs_to_fail, 1);
    errno = EIO;
    return -1;
}

Test(quota_embedded_trouble, a_sync_that_fails_is_made_good_in_another_segment)
{
    struct reservation r;
    struct rig_wait wait;

    rig.config.commit = COMMIT_ACKNOWLEDGED;
    rig_start(&rig);
    set(0, failing_sync);
    hold(&r, 1, 3);
    atomic_store(&syncs_to_fail, 3);
    rig_wait_init(&wait);
    cr_assert_eq(quota_commit(rig.q[0], &r, 2, &wait.op), ST_PENDING);
    RIG_UNTIL(&rig, !quota_store_is_up(rig.store));
    cr_assert(!wait.is_done);
    cr_assert_eq(rig_ended(&rig, &wait, ST_PENDING), ST_OK);
    cr_assert_eq(atomic_load(&syncs_to_fail), 0);
    cr_assert(quota_store_is_up(rig.store));
    rig_stop(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 2);
}

Test(quota_embedded_trouble, what_was_sent_before_a_sync_failed_is_made_good_too)
{
    struct reservation r, held, amended;

    rig_start(&rig);
    set(0, failing_sync);
    hold(&held, 1, 4);
    hold(&r, 1, 3);
    atomic_store(&syncs_to_fail, 2);
    cr_assert_eq(rig_commit(&rig, rig.q[0], &r, 2), ST_OK);
    RIG_UNTIL(&rig, !quota_store_is_up(rig.store));
    rig_reservation(&amended, 1, 0, 1, 9);
    cr_assert_eq(rig_amend(&rig, rig.q[1], &amended, CHANGE_GRANT, 1000), ST_UNAVAILABLE);
    cr_assert_eq(rig_commit(&rig, rig.q[1], &held, 4), ST_OK);
    RIG_UNTIL(&rig, quota_store_is_up(rig.store));
    cr_assert_eq(atomic_load(&syncs_to_fail), 0);
    rig_stop(&rig);
    rig_start(&rig);
    cr_assert_eq(rig_used(&rig, 1, 0), 6);
}

/* Two workers decide, write and wait while the log turns and the database is written, with rows that only that has. */
struct toil {
    struct loop *loop;
    struct quota *q;
    int first, done;
};

#define TOIL_ACCOUNTS 200

static void *toil(void *owner)
{
    struct toil *t = owner;

    for (int i = 0; i < 3 * TOIL_ACCOUNTS; i++) {
        struct reservation r;
        struct rig_wait wait;

        rig_reservation(&r, (t->first + i) % TOIL_ACCOUNTS, 0, 2, 100000);
        rig_wait_init(&wait);
        ASSERT(quota_reserve(t->q, &r, &wait.op) == ST_OK);
        ASSERT(quota_commit(t->q, &r, 1, &wait.op) == ST_PENDING);
        while (!wait.is_done)
            loop_run_once(t->loop, 5);
        t->done += wait.st == ST_OK;
    }
    quota_close(&t->q);
    return NULL;
}

Test(quota_embedded_trouble, two_workers_and_a_database_that_is_written_lose_nothing)
{
    struct toil toils[2] = {{.first = 0}, {.first = TOIL_ACCOUNTS / 2}};
    pthread_t threads[2];
    int64_t used = 0;

    rig_start(&rig);
    set(5000, NULL);
    ((struct embedded_store *)rig.store)->ledger.subjects_most = 20;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(loop_new(&toils[i].loop), ST_OK);
        cr_assert_eq(quota_open(rig.store, toils[i].loop, &rig.config, &toils[i].q), ST_OK);
        cr_assert_eq(pthread_create(&threads[i], NULL, toil, &toils[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        loop_free(&toils[i].loop);
        cr_assert_eq(toils[i].done, 3 * TOIL_ACCOUNTS);
    }
    for (int turn = 0; turn < 2; turn++) {
        used = 0;
        for (int i = 0; i < TOIL_ACCOUNTS; i++)
            used += rig_used(&rig, i, 0);
        cr_assert_eq(used, 6 * TOIL_ACCOUNTS);
        rig_stop(&rig);
        rig_start(&rig);
    }
    cr_assert_eq(rig_held(&rig), 0);
}

Test(quota_embedded_trouble, a_wall_clock_that_jumps_does_not_move_a_rate)
{
    struct limit rate = rig_limit(1, LIMIT_RATE, 1000);
    struct reservation r, second, third;

    rate.rule.period_us = INT64_C(3600) * 1000000;
    rate.rule.burst_units = 1000;
    rig_start(&rig);

    struct embedded_store *store = (struct embedded_store *)rig.store;

    rig_reservation_of(&r, 1, 1, &rate, 1);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_OK);
    rig_quiet(&rig);
    /* As if the wall clock had gone back two days since the start: the store's is ahead of it by so much. */
    store->clock_offset_us += INT64_C(2) * 86400 * 1000000;
    rig_reservation_of(&second, 1, 1, &rate, 1);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &second), ST_OK, "its time has passed");
    rig_reservation_of(&third, 1, 1, &rate, 1);
    cr_assert_eq(rig_reserve(&rig, rig.q[1], &third), ST_LIMIT);
    cr_assert_lt(third.limits[0].reset_us - clock_wall_us(), INT64_C(3601) * 1000000,
                 "told by the wall clock");
    quota_settle(rig.q[0], &r, 1);
    quota_settle(rig.q[1], &second, 1);
}
