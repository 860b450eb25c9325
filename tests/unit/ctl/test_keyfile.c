/* SPDX-License-Identifier: Apache-2.0 */
/* test_keyfile.c - files of keys on disk (in a folder of /tmp). */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/keyfile.h"

static char folder[64], path[96], other[96], why[KEY_WHY_MAX];

static void begin(void)
{
    snprintf(folder, sizeof(folder), "/tmp/meltguard-keys-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/keys.yaml", folder);
    snprintf(other, sizeof(other), "%s/link.yaml", folder);
}

static void end(void)
{
    unlink(path);
    unlink(other);
    cr_expect_eq(rmdir(folder), 0, "nothing is left behind");
}

TestSuite(keyfile, .init = begin, .fini = end);

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_text(const char *text)
{
    struct keyfile file;

    cr_assert_eq(keyfile_open(path, false, &file, why), ST_OK, "%s", why);
    cr_expect_str_eq(file.text, text);
    cr_expect_eq(file.len, strlen(text));
    keyfile_close(&file);
}

Test(keyfile, is_replaced_with_its_mode)
{
    struct keyfile file;
    struct stat info;

    write_file("old");
    chmod(path, 0604);
    cr_assert_eq(keyfile_open(path, true, &file, why), ST_OK, "%s", why);
    cr_expect_eq(keyfile_replace(&file, "new", why), ST_OK, "%s", why);
    keyfile_close(&file);
    expect_text("new");
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0604);
}

Test(keyfile, is_made_where_there_is_none)
{
    struct keyfile file;

    cr_expect_eq(keyfile_open(path, false, &file, why), ST_UNAVAILABLE);
    cr_expect_not_null(strstr(why, "cannot open"));
    cr_assert_eq(keyfile_open(path, true, &file, why), ST_OK, "%s", why);
    cr_expect_eq(file.len, 0);
    keyfile_close(&file);
}

Test(keyfile, a_link_stays_a_link)
{
    struct keyfile file;
    struct stat info;

    write_file("old");
    cr_assert_eq(symlink(path, other), 0);
    cr_assert_eq(keyfile_open(other, true, &file, why), ST_OK, "%s", why);
    cr_expect_eq(keyfile_replace(&file, "new", why), ST_OK, "%s", why);
    keyfile_close(&file);
    cr_assert_eq(lstat(other, &info), 0);
    cr_expect(S_ISLNK(info.st_mode));
    expect_text("new");
}

Test(keyfile, is_locked_while_it_is_changed)
{
    struct keyfile file;
    int fd;

    write_file("old");
    cr_assert_eq(keyfile_open(path, true, &file, why), ST_OK, "%s", why);
    fd = open(path, O_RDONLY);
    cr_expect_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
    keyfile_close(&file);
    cr_expect_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}
