/* SPDX-License-Identifier: Apache-2.0 */
/* test_embedded.c - what only the embedded store meets: being killed, a slow or full disk, a second process. */

#include <criterion/criterion.h>
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

    pid_t child = fork();

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

Test(quota_embedded_trouble, one_that_is_too_slow_is_given_up)
{
    struct reservation r, kept;
    int pipe_of[2];

    rig.config.quota_timeout_ms = 20;
    rig_start(&rig);
    hold(&kept, 1, 1);
    cr_assert_eq(pipe(pipe_of), 0);

    struct block block = {{.deliver = block_thread}, pipe_of[0]};

    mailbox_post(((struct embedded_store *)rig.store)->box, &block.mail);
    rig_reservation(&r, 1, 0, 2, 9);
    cr_assert_eq(rig_reserve(&rig, rig.q[0], &r), ST_UNAVAILABLE);
    cr_assert_eq(r.state, RESERVATION_NONE);
    quota_settle(rig.q[0], &kept, 1);
    cr_assert_eq(write(pipe_of[1], "x", 1), 1);
    rig.config.quota_timeout_ms = 2000;
    cr_assert_eq(rig_held(&rig), 0);
    cr_assert_eq(rig_used(&rig, 1, 0), 1, "it went through later, and was undone");
    close(pipe_of[0]);
    close(pipe_of[1]);
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
