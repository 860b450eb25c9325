/* SPDX-License-Identifier: Apache-2.0 */
/* test_outbox.c - records survive their process, cut-short ones end a file, and a file has one owner. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "quota/outbox.h"

static char dir[64];

struct taken {
    int len;
    struct outbox_record records[16];
};

static void up(void)
{
    log_set_level(LOG_NONE);
    strcpy(dir, "/tmp/mg-outbox-XXXXXX");
    cr_assert(mkdtemp(dir));
}

/* Files in the folder; the last one's path in out. */
static int files(char *out, size_t size)
{
    DIR *d = opendir(dir);
    int len = 0;

    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(out, size, "%s/%s", dir, entry->d_name);
        len++;
    }
    closedir(d);
    return len;
}

static void down(void)
{
    char path[512];

    while (files(path, sizeof(path)) > 0)
        unlink(path);
    rmdir(dir);
}

TestSuite(quota_outbox, .init = up, .fini = down);

static void take(void *owner, const struct outbox_record *record)
{
    struct taken *taken = owner;

    taken->records[taken->len++] = *record;
}

static struct outbox *open_outbox(struct taken *taken)
{
    char reason[256];
    struct text_out error;
    struct outbox *outbox = NULL;

    *taken = (struct taken){.len = 0};
    text_out_init(&error, reason, sizeof(reason));
    cr_assert_eq(outbox_open(dir, take, taken, &error, &outbox), ST_OK, "%s", reason);
    return outbox;
}

/* A process writes so many records (a mark before the last, if asked for) and dies. */
static void leave_behind(int records, bool has_mark)
{
    pid_t child = fork();

    if (child == 0) {
        struct taken none;
        struct outbox *outbox = open_outbox(&none);

        for (int i = 0; i < records; i++) {
            if (has_mark && i == records - 1)
                outbox_mark_sent(outbox);
            outbox_add(outbox, &(struct outbox_record){.kind = OUTBOX_SETTLE, .used_images = i});
        }
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

Test(quota_outbox, an_empty_one_leaves_no_file)
{
    struct taken taken;
    struct outbox *outbox = open_outbox(&taken);
    char path[512];

    cr_assert_eq(taken.len, 0);
    outbox_add(outbox, &(struct outbox_record){.kind = OUTBOX_COMMIT});
    outbox_clear(outbox);
    outbox_close(&outbox);
    cr_assert_eq(files(path, sizeof(path)), 0);
}

Test(quota_outbox, what_was_left_behind_is_taken_over_in_order)
{
    struct taken taken;
    char path[512];

    leave_behind(3, false);
    for (int again = 0; again < 2; again++) { /* closing with records in it leaves them, too */
        struct outbox *outbox = open_outbox(&taken);

        cr_assert_eq(taken.len, 3);
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(taken.records[i].used_images, i);
            cr_assert_eq(taken.records[i].was_sent, 0);
        }
        cr_assert_eq(files(path, sizeof(path)), 1);
        outbox_close(&outbox);
    }
}

Test(quota_outbox, what_lies_before_a_mark_was_sent)
{
    struct taken taken;

    leave_behind(3, true);

    struct outbox *outbox = open_outbox(&taken);

    cr_assert_eq(taken.len, 3);
    cr_assert(taken.records[0].was_sent && taken.records[1].was_sent);
    cr_assert(!taken.records[2].was_sent);
    outbox_close(&outbox);
}

Test(quota_outbox, a_record_cut_short_or_spoilt_ends_the_file)
{
    struct taken taken;
    char path[512];
    struct outbox *outbox;

    leave_behind(3, false);
    cr_assert_eq(files(path, sizeof(path)), 1);

    int fd = open(path, O_RDWR);
    off_t len = lseek(fd, 0, SEEK_END);

    cr_assert_eq(ftruncate(fd, len - 1), 0);
    outbox = open_outbox(&taken);
    cr_assert_eq(taken.len, 2);
    close(fd);
    outbox_close(&outbox);
    cr_assert_eq(files(path, sizeof(path)), 1);
    fd = open(path, O_RDWR);
    cr_assert_eq(pwrite(fd, "\xff", 1, 40), 1);
    close(fd);
    outbox = open_outbox(&taken);
    cr_assert_eq(taken.len, 0);
    outbox_close(&outbox);
}

Test(quota_outbox, what_another_version_wrote_is_left_alone)
{
    struct taken taken;
    char path[512];

    leave_behind(3, false);
    cr_assert_eq(files(path, sizeof(path)), 1);

    int fd = open(path, O_RDWR);

    cr_assert_eq(pwrite(fd, "\x77", 1, 0), 1);
    close(fd);

    struct outbox *outbox = open_outbox(&taken);

    cr_assert_eq(taken.len, 0);
    outbox_close(&outbox);
    cr_assert_eq(files(path, sizeof(path)), 1, "it may be read by that version still");
}

Test(quota_outbox, a_living_ones_file_is_left_alone)
{
    struct taken first_taken, second_taken;
    struct outbox *first = open_outbox(&first_taken);

    outbox_add(first, &(struct outbox_record){.kind = OUTBOX_COMMIT});

    struct outbox *second = open_outbox(&second_taken);

    cr_assert_eq(second_taken.len, 0);
    outbox_close(&second);
    outbox_close(&first);
    first = open_outbox(&first_taken);
    cr_assert_eq(first_taken.len, 1);
    outbox_close(&first);
}

Test(quota_outbox, a_folder_that_cannot_be_made_is_said)
{
    char reason[256];
    struct text_out error;
    struct outbox *outbox;

    text_out_init(&error, reason, sizeof(reason));
    cr_assert_eq(outbox_open("/proc/none", take, NULL, &error, &outbox), ST_UNAVAILABLE);
    cr_assert(strstr(reason, "/proc/none"));
}
