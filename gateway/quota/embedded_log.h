/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_log.h - the append-only log of the embedded store.  One write hands all decisions of a turn to the kernel, so
 * that they outlive this process; one sync makes all that was written durable.
 *
 * The log is a row of segments, files named by their epoch; a record says its epoch, its number and its length under a
 * checksum (XXH3).  A segment is reused under a new name when the database has all that it says, and then overwritten in
 * place, so that a sync has no metadata to write.  Reading ends in each segment with the first record that is not whole,
 * or not of this epoch.
 *
 *   log.7  |rec 40|rec 41|rec 42|torn|          a sync failed: what it held is written again ...
 *   log.8  |rec 42'|rec 43|old|old|             ... to the next segment, under the same number
 *
 * Any thread appends, one at a time; one thread syncs, turns and abandons.  embedded_log_sync() may run while others
 * append; all other calls exclude each other by the caller's lock. */
#pragma once

#include "base/text.h"

struct embedded_log;

/* One record: bytes that were durable, or were being written when their process ended.  False: they make no sense. */
typedef bool (*log_visit_fn)(void *owner, const unsigned char *bytes, size_t len);

/* Reads all records from this epoch on, in order; where one was written twice, both.  What is appended goes to a segment
 * of its own.  ST_UNAVAILABLE, ST_INVALID or ST_NOMEM, with the reason in error.  folder must outlive it. */
MUST_CHECK enum status embedded_log_open(const char *folder, uint64_t from_epoch,
                                         log_visit_fn visit, void *owner, struct text_out *error,
                                         struct embedded_log **out);
void embedded_log_close(struct embedded_log **log);

/* One record: once ST_OK is returned a later process finds it, and all before it, whatever becomes of this one.
 * ST_UNAVAILABLE: it may be found or not, and nothing may be built on it; nothing more is appended before
 * embedded_log_abandon(). */
MUST_CHECK enum status embedded_log_append(struct embedded_log *log, const void *bytes, size_t len);
/* Bytes in the present segment. */
size_t embedded_log_bytes(const struct embedded_log *log);

/* What is to be synced. */
struct log_sync {
    int fd, left_fd; /* the present segment, and one that was left; -1: none */
    bool has_folder; /* a name is new */
    uint64_t number; /* of the record that is appended next */
};
/* All that was appended so far; false: it is durable already. */
bool embedded_log_sync_begins(const struct embedded_log *log, struct log_sync *out);
/* Waits for the disk.  After ST_UNAVAILABLE the log must be abandoned. */
MUST_CHECK enum status embedded_log_sync(const struct embedded_log *log,
                                         const struct log_sync *sync);
void embedded_log_synced(struct embedded_log *log, const struct log_sync *sync);
/* The present segment is never written to again, and what is not durable counts for nothing: the caller appends all that
 * it said, and more. */
void embedded_log_abandon(struct embedded_log *log);

/* What is appended from now on goes to a new segment; returns its epoch.  A sync must follow before the next turn. */
uint64_t embedded_log_turn(struct embedded_log *log);
/* The database has all that was appended before this epoch. */
void embedded_log_forget(struct embedded_log *log, uint64_t before_epoch);
/* For tests: another fdatasync(). */
void embedded_log_sync_with(struct embedded_log *log, int (*sync)(int fd));
