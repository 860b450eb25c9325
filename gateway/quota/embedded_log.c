/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_log.c - see embedded_log.h.      Runs on: workers and the store's thread, under the log's lock.
 * After a failed write or sync the kernel may hold pages for written that are not, so the segment is left as it is: what
 * was durable in it stays so, and nothing more is written to it. */

#include "quota/embedded_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"

/* A segment that grows is filled with zeros so far ahead: blocks that were never written cost a sync each. */
#define AHEAD_BYTES ((size_t)1 << 20)
#define ALIGN       8

struct record {
    uint64_t check; /* of all that follows, the bytes included */
    uint64_t epoch;
    uint64_t number;
    uint64_t len; /* of the bytes */
};

struct embedded_log {
    int folder_fd;
    int fd;            /* of the present segment; -1: the next append begins one */
    int left_fd;       /* of the one before, which is to be synced; -1: none */
    uint64_t epoch;    /* of the present segment, or of the last one */
    uint64_t first;    /* no segment before this one is left, but for the spare */
    uint64_t spare;    /* 0: none */
    uint64_t doubtful; /* abandoned, with nothing durable in it; gone when that was written again */
    uint64_t number;   /* of the next record */
    uint64_t durable;  /* records before this number are */
    size_t at, size; /* of the present segment: where the next record goes; what is written ahead */
    bool has_durable_record; /* likewise */
    bool is_name_new;        /* the folder is to be synced */
    int (*sync)(int fd);
};

struct name {
    char text[32];
};

static struct name name_of(uint64_t epoch)
{
    struct name name;

    snprintf(name.text, sizeof(name.text), "log.%llu", (unsigned long long)epoch);
    return name;
}

static size_t aligned(size_t len)
{
    return (len + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t check_of(const struct record *record, const void *bytes)
{
    uint64_t head = XXH3_64bits(&record->epoch, sizeof(*record) - offsetof(struct record, epoch));

    return XXH3_64bits_withSeed(bytes, (size_t)record->len, head);
}

/* --- reading --- */

struct reading {
    struct embedded_log *log;
    log_visit_fn visit;
    void *owner;
};

/* The length of the record's bytes where it is whole and of this epoch; else -1. */
static int64_t whole_len(const unsigned char *from, size_t left, uint64_t epoch)
{
    struct record record;

    if (left < sizeof(record))
        return -1;
    memcpy(&record, from, sizeof(record));
    if (record.epoch != epoch || record.len > left - sizeof(record))
        return -1;
    return check_of(&record, from + sizeof(record)) == record.check ? (int64_t)record.len : -1;
}

static bool visit_one(struct reading *reading, const unsigned char *from, size_t len, bool is_first)
{
    struct embedded_log *log = reading->log;
    struct record record;

    memcpy(&record, from, sizeof(record));
    if (is_first ? log->number > 0 && record.number > log->number : record.number != log->number)
        log_event(LOG_ERROR, "quota_log_damaged", "store=embedded epoch=%llu missing=%llu",
                  (unsigned long long)record.epoch, (unsigned long long)log->number);
    log->number = record.number + 1;
    return reading->visit(reading->owner, from + sizeof(record), len);
}

static bool visit_all(struct reading *reading, uint64_t epoch, const unsigned char *bytes,
                      size_t size)
{
    size_t at = 0;

    for (;;) {
        int64_t len = whole_len(bytes + at, size - at, epoch);

        if (len < 0)
            return true;
        if (!visit_one(reading, bytes + at, (size_t)len, at == 0))
            return false;
        at += MIN(aligned(sizeof(struct record) + (size_t)len), size - at);
    }
}

static enum status read_whole(int fd, unsigned char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t len = pread(fd, bytes + at, size - at, (off_t)at);

        if (len <= 0)
            return ST_UNAVAILABLE;
        at += (size_t)len;
    }
    return ST_OK;
}

static enum status read_segment(struct reading *reading, uint64_t epoch)
{
    struct name name = name_of(epoch);
    struct stat stat_of;
    enum status st = ST_UNAVAILABLE;
    unsigned char *bytes = NULL;
    int fd = openat(reading->log->folder_fd, name.text, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return ST_UNAVAILABLE;
    if (fstat(fd, &stat_of) != 0)
        goto done;
    bytes = malloc((size_t)stat_of.st_size + 1);
    st = bytes ? read_whole(fd, bytes, (size_t)stat_of.st_size) : ST_NOMEM;
    if (!st && !visit_all(reading, epoch, bytes, (size_t)stat_of.st_size))
        st = ST_INVALID;

done:
    free(bytes);
    close(fd);
    return st;
}

/* The smallest epoch of a segment that is at least this one; 0: none. */
static uint64_t next_segment(int folder_fd, uint64_t from)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    uint64_t found = 0;

    if (!dir)
        return 0;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        uint64_t epoch;

        if (strncmp(entry->d_name, "log.", 4) != 0 ||
            text_to_u64(text_of(entry->d_name + 4), &epoch) || epoch < from || epoch == 0)
            continue;
        if (found == 0 || epoch < found)
            found = epoch;
    }
    closedir(dir);
    return found;
}

static enum status read_all(struct reading *reading, uint64_t from_epoch, struct text_out *error)
{
    struct embedded_log *log = reading->log;
    uint64_t epoch = next_segment(log->folder_fd, MAX(from_epoch, 1U));

    while (epoch) {
        enum status st = read_segment(reading, epoch);

        if (st) {
            text_out_printf(error, "cannot read %s: %s", name_of(epoch).text,
                            st == ST_INVALID ? "it was made by another version" : strerror(errno));
            return st;
        }
        log->epoch = epoch;
        epoch = next_segment(log->folder_fd, epoch + 1);
    }
    return ST_OK;
}

/* --- opening --- */

enum status embedded_log_open(const char *folder, uint64_t from_epoch, log_visit_fn visit,
                              void *owner, struct text_out *error, struct embedded_log **out)
{
    struct embedded_log *log = calloc(1, sizeof(*log));
    enum status st;

    if (!log)
        return ST_NOMEM;
    log->fd = log->left_fd = -1;
    log->sync = fdatasync;
    log->epoch = from_epoch;
    log->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->folder_fd < 0) {
        text_out_printf(error, "cannot open %s: %s", folder, strerror(errno));
        st = ST_UNAVAILABLE;
        goto no_folder;
    }
    log->first = next_segment(log->folder_fd, 1);
    st = read_all(&(struct reading){log, visit, owner}, from_epoch, error);
    if (st)
        goto no_log;
    log->durable = log->number;
    embedded_log_forget(log, from_epoch);
    *out = log;
    return ST_OK;

no_log:
    close(log->folder_fd);
no_folder:
    free(log);
    return st;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void leave_segments(struct embedded_log *log)
{
    close_one(&log->fd);
    close_one(&log->left_fd);
    log->at = 0;
    log->has_durable_record = false;
}

void embedded_log_close(struct embedded_log **log)
{
    struct embedded_log *closing = *log;

    if (!closing)
        return;
    *log = NULL;
    leave_segments(closing);
    close(closing->folder_fd);
    free(closing);
}

/* --- segments --- */

/* The next one: what was a segment before, or a new file. */
static enum status begin_segment(struct embedded_log *log)
{
    struct name name = name_of(log->epoch + 1);
    struct name spare = name_of(log->spare);
    struct stat stat_of;

    if (log->spare) {
        log->spare = 0;
        if (renameat(log->folder_fd, spare.text, log->folder_fd, name.text) != 0)
            (void)unlinkat(log->folder_fd, spare.text, 0);
    }

    int fd = openat(log->folder_fd, name.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return ST_UNAVAILABLE;
    log->epoch++;
    log->fd = fd;
    log->is_name_new = true;
    if (log->first == 0)
        log->first = log->epoch;
    if (fstat(fd, &stat_of) != 0)
        return ST_UNAVAILABLE;
    log->size = (size_t)stat_of.st_size;
    return ST_OK;
}

static bool write_at(int fd, const void *bytes, size_t len, size_t at)
{
    const unsigned char *from = bytes;

    while (len > 0) {
        ssize_t written = pwrite(fd, from, len, (off_t)at);

        if (written <= 0)
            return false;
        from += written;
        at += (size_t)written;
        len -= (size_t)written;
    }
    return true;
}

static bool write_ahead(struct embedded_log *log, size_t until)
{
    static const unsigned char zeros[1 << 16];

    while (log->size < until) {
        if (!write_at(log->fd, zeros, sizeof(zeros), log->size))
            return false;
        log->size += sizeof(zeros);
    }
    return true;
}

static bool write_record(struct embedded_log *log, const void *bytes, size_t len)
{
    struct record record = {.epoch = log->epoch, .number = log->number, .len = len};
    size_t total = sizeof(record) + len;
    struct iovec parts[2] = {{&record, sizeof(record)}, {(void *)(uintptr_t)bytes, len}};

    if (log->at + total > log->size && !write_ahead(log, log->at + total + AHEAD_BYTES))
        return false;
    record.check = check_of(&record, bytes);

    ssize_t written = pwritev(log->fd, parts, 2, (off_t)log->at);

    if (written < (ssize_t)sizeof(record))
        return false;

    size_t done = (size_t)written - sizeof(record);

    return write_at(log->fd, (const unsigned char *)bytes + done, len - done,
                    log->at + sizeof(record) + done);
}

static void remove_segment(const struct embedded_log *log, uint64_t epoch)
{
    (void)unlinkat(log->folder_fd, name_of(epoch).text, 0);
}

enum status embedded_log_append(struct embedded_log *log, const void *bytes, size_t len)
{
    enum status st = log->fd < 0 ? begin_segment(log) : ST_OK;

    if (st || !write_record(log, bytes, len))
        return ST_UNAVAILABLE;
    log->at += aligned(sizeof(struct record) + len);
    log->number++;
    if (log->doubtful)
        remove_segment(log, log->doubtful);
    log->doubtful = 0;
    return ST_OK;
}

size_t embedded_log_bytes(const struct embedded_log *log)
{
    return log->at;
}

/* --- syncs --- */

bool embedded_log_sync_begins(const struct embedded_log *log, struct log_sync *out)
{
    *out = (struct log_sync){log->fd, log->left_fd, log->is_name_new, log->number};
    return log->number > log->durable || log->left_fd >= 0;
}

/* The names first: without them the records are not found. */
enum status embedded_log_sync(const struct embedded_log *log, const struct log_sync *sync)
{
    if (sync->has_folder && fsync(log->folder_fd) != 0)
        return ST_UNAVAILABLE;
    if (sync->left_fd >= 0 && log->sync(sync->left_fd) != 0)
        return ST_UNAVAILABLE;
    if (sync->fd >= 0 && log->sync(sync->fd) != 0)
        return ST_UNAVAILABLE;
    return ST_OK;
}

void embedded_log_synced(struct embedded_log *log, const struct log_sync *sync)
{
    log->durable = sync->number;
    log->has_durable_record = log->has_durable_record || sync->fd >= 0;
    if (sync->has_folder)
        log->is_name_new = false;
    close_one(&log->left_fd);
}

void embedded_log_abandon(struct embedded_log *log)
{
    if (log->fd >= 0 && log->at == 0)
        remove_segment(log, log->epoch);
    else if (log->fd >= 0 && !log->has_durable_record)
        log->doubtful = log->epoch;
    log->number = log->durable;
    leave_segments(log);
}

/* --- turning --- */

uint64_t embedded_log_turn(struct embedded_log *log)
{
    ASSERT(log->left_fd < 0);
    log->left_fd = log->fd;
    log->fd = -1;
    log->at = 0;
    log->has_durable_record = false;
    return log->epoch + 1;
}

/* The largest is kept: it grew the most. */
void embedded_log_forget(struct embedded_log *log, uint64_t before_epoch)
{
    while (log->first && log->first < before_epoch) {
        uint64_t epoch = log->first;

        log->first = next_segment(log->folder_fd, epoch + 1);
        if (log->spare)
            remove_segment(log, log->spare);
        log->spare = epoch;
    }
}

void embedded_log_sync_with(struct embedded_log *log, int (*sync)(int fd))
{
    log->sync = sync;
}
