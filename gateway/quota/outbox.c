/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.c - an append-only file of checksummed records.      Runs on: worker.
 * A file belongs to whoever holds its lock.  A file that was taken over is unlinked only after its records are in the new
 * one, so each record is in some file at every instant; being in two is harmless.  One that another version of this
 * program wrote is left alone, and said. */

#include "quota/outbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "quota/folder.h"

#define ENDING  ".outbox"
#define VERSION UINT64_C(0x6d67206f75740002)

/* As on disk, in this machine's byte order: the file never leaves it. */
struct stored {
    uint64_t version;
    struct outbox_record record;
    uint64_t checksum; /* of all before it */
};

_Static_assert(sizeof(struct stored) == sizeof(uint64_t) * 2 + sizeof(struct outbox_record),
               "no padding is written");

struct outbox {
    int fd;
    bool is_failing;
    off_t len;           /* whole records */
    char path[PATH_MAX]; /* of this worker's file */
};

struct taking {
    struct outbox *outbox;
    void (*take)(void *owner, const struct outbox_record *record);
    void *owner;
};

static uint64_t checksum_of(const struct stored *stored)
{
    return XXH3_64bits(stored, offsetof(struct stored, checksum));
}

/* False at the end, and at a record that is not whole. */
static bool read_record(int fd, off_t at, struct outbox_record *out)
{
    struct stored stored;

    if (pread(fd, &stored, sizeof(stored), at) != (ssize_t)sizeof(stored))
        return false;
    if (stored.version != VERSION || stored.checksum != checksum_of(&stored))
        return false;
    *out = stored.record;
    return true;
}

/* The place behind the last mark: what lies before it was sent. */
static off_t sent_until(int fd)
{
    struct outbox_record record;
    off_t until = 0;

    for (off_t at = 0; read_record(fd, at, &record); at += (off_t)sizeof(struct stored))
        if (record.kind == OUTBOX_SENT)
            until = at;
    return until;
}

/* Its first record, should there be one, is of another version of this program. */
static bool is_foreign(int fd)
{
    uint64_t version;

    return pread(fd, &version, sizeof(version), 0) == (ssize_t)sizeof(version) &&
           version != VERSION;
}

static void take_records(struct taking *taking, int fd)
{
    off_t until = sent_until(fd);
    struct outbox_record record;

    for (off_t at = 0; read_record(fd, at, &record); at += (off_t)sizeof(struct stored)) {
        if (record.kind != OUTBOX_COMMIT && record.kind != OUTBOX_SETTLE)
            continue;
        if (at < until)
            record.was_sent = true;
        (void)outbox_add(taking->outbox, &record);
        taking->take(taking->owner, &record);
    }
}

/* The file is still there under its name: nobody took it over before we had the lock. */
static bool is_linked(int fd)
{
    struct stat stat_of;

    return fstat(fd, &stat_of) == 0 && stat_of.st_nlink > 0;
}

static void take_file(struct taking *taking, int fd, const char *path)
{
    if (is_foreign(fd)) {
        log_event(LOG_ERROR, "outbox_foreign",
                  "path=%s why=\"another version wrote it: start that one once more\"", path);
        return;
    }
    take_records(taking, fd);
    if (!taking->outbox->is_failing)
        unlink(path);
}

static void take_over(struct taking *taking, const char *folder, const char *name)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd;

    if (len < 0 || (size_t)len >= sizeof(path) || strcmp(path, taking->outbox->path) == 0)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_linked(fd))
        take_file(taking, fd, path);
    close(fd);
}

static bool has_ending(const char *name)
{
    size_t len = strlen(name);

    return len > strlen(ENDING) && strcmp(name + len - strlen(ENDING), ENDING) == 0;
}

static void take_over_all(struct taking *taking, const char *folder)
{
    DIR *dir = opendir(folder);

    if (!dir)
        return;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (has_ending(entry->d_name))
            take_over(taking, folder, entry->d_name);
    closedir(dir);
}

/* A file under a name that nobody has, locked. */
static enum status make_file(struct outbox *outbox, const char *folder)
{
    for (int tries = 0; tries < 8; tries++) {
        uint64_t random;
        int len;

        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return ST_UNAVAILABLE;
        len = snprintf(outbox->path, sizeof(outbox->path), "%s/%016llx" ENDING, folder,
                       (unsigned long long)random);
        if (len < 0 || (size_t)len >= sizeof(outbox->path))
            return ST_UNAVAILABLE;
        outbox->fd = open(outbox->path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (outbox->fd < 0)
            return ST_UNAVAILABLE;
        if (flock(outbox->fd, LOCK_EX | LOCK_NB) == 0 && is_linked(outbox->fd))
            return ST_OK;
        close(outbox->fd); /* somebody who looks for files left behind was faster */
    }
    return ST_UNAVAILABLE;
}

enum status outbox_open(const char *folder,
                        void (*take)(void *owner, const struct outbox_record *record), void *owner,
                        struct text_out *error, struct outbox **out)
{
    enum status st = folder_make(folder, error);
    struct outbox *outbox;

    if (st)
        return st;
    outbox = calloc(1, sizeof(*outbox));
    if (!outbox)
        return ST_NOMEM;
    st = make_file(outbox, folder);
    if (st) {
        text_out_printf(error, "cannot make a file in %s: %s", folder, strerror(errno));
        free(outbox);
        return st;
    }

    struct taking taking = {outbox, take, owner};

    take_over_all(&taking, folder);
    *out = outbox;
    return ST_OK;
}

bool outbox_add(struct outbox *outbox, const struct outbox_record *record)
{
    struct stored stored = {.version = VERSION, .record = *record};
    bool is_written;

    stored.checksum = checksum_of(&stored);
    is_written = write(outbox->fd, &stored, sizeof(stored)) == (ssize_t)sizeof(stored);
    if (is_written)
        outbox->len += (off_t)sizeof(stored);
    else if (ftruncate(outbox->fd, outbox->len) != 0 || !outbox->is_failing)
        log_event(LOG_ERROR, "outbox_failed", "path=%s why=\"%s\"", outbox->path, strerror(errno));
    outbox->is_failing = !is_written;
    return is_written;
}

void outbox_mark_sent(struct outbox *outbox)
{
    (void)outbox_add(outbox, &(struct outbox_record){.kind = OUTBOX_SENT});
}

void outbox_clear(struct outbox *outbox)
{
    if (outbox->len > 0 && ftruncate(outbox->fd, 0) == 0)
        outbox->len = 0;
}

void outbox_close(struct outbox **outbox)
{
    struct outbox *closing = *outbox;

    if (!closing)
        return;
    *outbox = NULL;
    if (closing->len == 0)
        unlink(closing->path);
    close(closing->fd);
    free(closing);
}
