/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.c - files of keys on disk. */
#include "ctl/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new one: for the gateway's group to read. */
#define MODE_NEW 0640
/* As long as the gateway takes it. */
#define BYTES_MAX ((size_t)16 << 20)

static enum status fail(char *why, const char *what, const char *path)
{
    snprintf(why, KEY_WHY_MAX, "cannot %s %s: %s", what, path, strerror(errno));
    return ST_UNAVAILABLE;
}

/* Is the descriptor still what the path leads to?  Not after another one's rename. */
static bool is_present(int fd, const char *path)
{
    struct stat held, there;

    return fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
           held.st_ino == there.st_ino;
}

static enum status open_locked(struct keyfile *file, const char *path, char *why)
{
    for (;;) {
        file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, MODE_NEW);
        if (file->fd < 0)
            return fail(why, "open", path);
        if (flock(file->fd, LOCK_EX))
            return fail(why, "lock", path);
        if (is_present(file->fd, path))
            return ST_OK;
        close(file->fd);
    }
}

static enum status read_whole(struct keyfile *file, char *why)
{
    struct stat info;

    if (fstat(file->fd, &info))
        return fail(why, "read", file->path);
    if ((size_t)info.st_size > BYTES_MAX) {
        errno = EFBIG;
        return fail(why, "read", file->path);
    }
    file->text = malloc((size_t)info.st_size + 1);
    if (!file->text)
        return ST_NOMEM;
    while (file->len < (size_t)info.st_size) {
        ssize_t got = pread(file->fd, file->text + file->len, (size_t)info.st_size - file->len,
                            (off_t)file->len);

        if (got < 0)
            return fail(why, "read", file->path);
        if (got == 0)
            break;
        file->len += (size_t)got;
    }
    file->text[file->len] = '\0';
    return ST_OK;
}

enum status keyfile_open(const char *path, bool is_for_change, struct keyfile *out,
                         char why[KEY_WHY_MAX])
{
    struct keyfile file = {.fd = -1};
    enum status st = ST_OK;

    if (is_for_change) {
        st = open_locked(&file, path, why);
    } else {
        file.fd = open(path, O_RDONLY | O_CLOEXEC);
        if (file.fd < 0)
            st = fail(why, "open", path);
    }
    if (st == ST_OK) {
        file.path = realpath(path, NULL);
        st = file.path ? read_whole(&file, why) : fail(why, "find", path);
    }
    if (st)
        keyfile_close(&file);
    else
        *out = file;
    return st;
}

static bool write_whole(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, text, len);

        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            text += put;
            len -= (size_t)put;
        }
    }
    return fsync(fd) == 0;
}

/* Best effort: root keeps the owner, others cannot give files away. */
static bool take_over(int from, int to)
{
    struct stat info;

    if (fstat(from, &info))
        return false;
    if (fchown(to, info.st_uid, info.st_gid) && fchown(to, (uid_t)-1, info.st_gid))
        errno = 0;
    return fchmod(to, info.st_mode & 07777) == 0;
}

/* The rename itself must outlast a crash, too. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    char *slash;
    int fd;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');
    if (!slash)
        return;
    slash[1] = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fsync(fd))
        errno = 0;
    close(fd);
}

enum status keyfile_replace(struct keyfile *file, const char *text, char why[KEY_WHY_MAX])
{
    char made[PATH_MAX];
    int fd;

    if (snprintf(made, sizeof(made), "%s.XXXXXX", file->path) >= (int)sizeof(made)) {
        errno = ENAMETOOLONG;
        return fail(why, "write beside", file->path);
    }
    fd = mkostemp(made, O_CLOEXEC);
    if (fd < 0)
        return fail(why, "write beside", file->path);
    bool is_done = take_over(file->fd, fd) && write_whole(fd, text, strlen(text));
    if (close(fd))
        is_done = false;
    if (is_done && rename(made, file->path) == 0) {
        sync_folder(file->path);
        return ST_OK;
    }
    enum status st = fail(why, "write", file->path);
    unlink(made);
    return st;
}

void keyfile_close(struct keyfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file->text);
    *file = (struct keyfile){.fd = -1};
}
