/* SPDX-License-Identifier: Apache-2.0 */
/* test_embedded_log.c - the log cut off and flipped at every byte, a disk that fails, and segments that are used again. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "core/cost.h"
#include "quota/embedded_log.h"
#include "quota/ledger.h"

static char dir[64];
static struct embedded_log *log_of;

/* What a later process reads. */
struct seen {
    int len;
    char words[64][16];
};
static struct seen seen;

static bool see(void *owner, const unsigned char *bytes, size_t len)
{
    UNUSED(owner);
    cr_assert(seen.len < (int)ARRAY_LEN(seen.words) && len < sizeof(seen.words[0]));
    memcpy(seen.words[seen.len], bytes, len);
    seen.words[seen.len++][len] = '\0';
    return true;
}

static void open_from(uint64_t epoch)
{
    char reason[256];
    struct text_out error;

    text_out_init(&error, reason, sizeof(reason));
    memset(&seen, 0, sizeof(seen));
    embedded_log_close(&log_of);
    cr_assert_eq(embedded_log_open(dir, epoch, see, NULL, &error, &log_of), ST_OK, "%s", reason);
}

static void up(void)
{
    log_set_level(LOG_NONE);
    strcpy(dir, "/tmp/mg-log-XXXXXX");
    cr_assert(mkdtemp(dir));
    open_from(0);
}

static int remove_one(const char *path, const struct stat *stat_of, int kind, struct FTW *ftw)
{
    UNUSED(stat_of);
    UNUSED(kind);
    UNUSED(ftw);
    return remove(path);
}

static void down(void)
{
    embedded_log_close(&log_of);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(quota_embedded_log, .init = up, .fini = down, .timeout = 60);

static enum status sync_all(void)
{
    struct log_sync sync;
    enum status st = ST_OK;

    if (embedded_log_sync_begins(log_of, &sync))
        st = embedded_log_sync(log_of, &sync);
    if (st)
        embedded_log_abandon(log_of);
    else
        embedded_log_synced(log_of, &sync);
    return st;
}

static enum status write_one(const char *word)
{
    return embedded_log_append(log_of, word, strlen(word));
}

static enum status append(const char *word)
{
    cr_assert_eq(write_one(word), ST_OK);
    return sync_all();
}

static void expect(const char *words)
{
    char got[256] = "";

    for (int i = 0; i < seen.len; i++) {
        strcat(got, i ? " " : "");
        strcat(got, seen.words[i]);
    }
    cr_assert_str_eq(got, words);
}

static void path_of(uint64_t epoch, char path[128])
{
    snprintf(path, 128, "%s/log.%llu", dir, (unsigned long long)epoch);
}

static bool exists(uint64_t epoch)
{
    char path[128];

    path_of(epoch, path);
    return access(path, F_OK) == 0;
}

Test(quota_embedded_log, what_was_appended_is_read_in_order)
{
    cr_assert_eq(append("one"), ST_OK);
    cr_assert_eq(append(""), ST_OK);
    cr_assert_eq(append("three"), ST_OK);
    open_from(0);
    expect("one  three");
    cr_assert_eq(append("four"), ST_OK);
    cr_assert_eq(embedded_log_turn(log_of), 3);
    cr_assert_eq(append("five"), ST_OK);
    open_from(0);
    expect("one  three four five");
    open_from(3);
    expect("five");
}

Test(quota_embedded_log, a_segment_that_is_forgotten_is_used_again_without_its_old_records)
{
    char path[128];
    struct stat before, after;

    for (int i = 0; i < 9; i++)
        cr_assert_eq(append("old"), ST_OK);
    path_of(1, path);
    cr_assert_eq(stat(path, &before), 0);
    cr_assert_eq(embedded_log_turn(log_of), 2);
    cr_assert_eq(append("new"), ST_OK);
    embedded_log_forget(log_of, 2);
    cr_assert_eq(embedded_log_turn(log_of), 3);
    cr_assert_eq(append("newer"), ST_OK);
    cr_assert(!exists(1) && exists(2) && exists(3));
    path_of(3, path);
    cr_assert_eq(stat(path, &after), 0);
    cr_assert_eq(before.st_ino, after.st_ino);
    cr_assert_eq(before.st_size, after.st_size, "overwritten in place");
    open_from(2);
    expect("new newer");
}

/* --- every byte --- */

static size_t read_file(const char *path, unsigned char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, bytes, size);

    close(fd);
    cr_assert_geq(len, 0);
    return (size_t)len;
}

static void write_file(const char *path, const unsigned char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

#define STEPS 8

/* A small history of a ledger, and how it stood after each record. */
struct history {
    struct embedded_db *db;
    struct ledger ledger;
    struct ledger_record record;
    size_t ends[STEPS]; /* of each record, in the file */
    int64_t used[STEPS + 1];
    size_t holds[STEPS + 1];
};

static struct hold hold_of(uint64_t id, struct reserved_limit *l)
{
    struct hold hold = {.id = id, .images = 2, .charges_len = 1};

    *l = (struct reserved_limit){
        .limit = {.rule = {.kind = LIMIT_DAY,
                           .measure = MEASURE_IMAGES,
                           .units = 99 * UNITS_PER_IMAGE},
                  .window = {.end_s = 2000000},
                  .image_units = UNITS_PER_IMAGE},
    };
    hold.charges[0] = charge_of(&l->limit, 2, 0);
    return hold;
}

static int64_t used_of(struct ledger *ledger)
{
    struct reserved_limit l;
    struct hold hold = hold_of(99, &l);

    cr_assert_eq(ledger_inspect(ledger, &hold, &l, 0), ST_OK);
    return l.used_units;
}

static void sync_step(struct history *h)
{
    ledger_sync_begins(&h->ledger);
    cr_assert_eq(sync_all(), ST_OK);
    while (ledger_synced_some(&h->ledger))
        continue;
}

/* Reserves, a commit, a part given back, an end; one record each. */
static void step(struct history *h, int i)
{
    struct reserved_limit l;
    struct hold hold = hold_of((uint64_t)i / 2, &l);
    struct ledger_answer answer;

    if (i % 2 == 0)
        cr_assert_eq(ledger_reserve(&h->ledger, &hold, &l, 0, &answer), ST_OK);
    else if (i % 4 == 1)
        cr_assert_eq(ledger_commit(&h->ledger, &hold, 0), ST_OK);
    else
        cr_assert_eq(ledger_settle(&h->ledger, &hold, i / 4 % 2, true, 0), ST_OK);
    cr_assert_eq(ledger_log(&h->ledger, &h->record), ST_OK);
    cr_assert_eq(embedded_log_append(log_of, h->record.bytes, h->record.len), ST_OK);
    ledger_logged(&h->ledger);
    if (i % 3 == 2) /* some records are durable, some only written */
        sync_step(h);
    h->ends[i] = embedded_log_bytes(log_of);
    h->used[i + 1] = used_of(&h->ledger);
    h->holds[i + 1] = h->ledger.holds_by_id.len;
}

static bool replay(void *owner, const unsigned char *bytes, size_t len)
{
    return ledger_replay(owner, bytes, len);
}

/* What a process finds that comes after a crash there: exactly so many of the records. */
static void expect_steps(struct history *h, const char *path, int steps)
{
    struct embedded_log *log;
    struct text_out error;
    struct ledger ledger;
    char reason[256];

    text_out_init(&error, reason, sizeof(reason));
    cr_assert_eq(table_init(&ledger, h->db, 64), ST_OK);
    cr_assert_eq(embedded_log_open(path, 0, replay, &ledger, &error, &log), ST_OK, "%s", reason);
    cr_assert_eq(used_of(&ledger), h->used[steps]);
    cr_assert_eq(ledger.holds_by_id.len, h->holds[steps]);
    embedded_log_close(&log);
    table_fini(&ledger);
}

static int whole_before(const struct history *h, size_t at)
{
    int steps = 0;

    while (steps < STEPS && h->ends[steps] <= at)
        steps++;
    return steps;
}

static void live_through(struct history *h)
{
    struct text_out error;
    char reason[256];

    memset(h, 0, sizeof(*h));
    text_out_init(&error, reason, sizeof(reason));
    cr_assert_eq(embedded_db_open(dir, 1 << 20, &error, &h->db), ST_OK);
    cr_assert_eq(table_init(&h->ledger, h->db, 64), ST_OK);
    for (int i = 0; i < STEPS; i++)
        step(h, i);
}

static void forget(struct history *h)
{
    table_fini(&h->ledger);
    ledger_record_fini(&h->record);
    embedded_db_close(&h->db);
}

Test(quota_embedded_log, a_crash_at_every_byte_leaves_whole_records)
{
    struct history h;
    static unsigned char bytes[8192], torn[8192];
    char path[128], other[80], copy[128];

    live_through(&h);
    cr_assert_leq(h.ends[STEPS - 1], sizeof(bytes));
    path_of(1, path);
    snprintf(other, sizeof(other), "%s/other", dir);
    snprintf(copy, sizeof(copy), "%s/log.1", other);
    cr_assert_eq(mkdir(other, 0700), 0);

    size_t len = read_file(path, bytes, h.ends[STEPS - 1]);

    for (size_t at = 0; at <= len; at++) {
        memset(torn, 0, len); /* zeros ahead, as a crash leaves them */
        memcpy(torn, bytes, at);
        write_file(copy, torn, len);

        int zeros = whole_before(&h, at);

        /* A record whose last bytes are zeros is whole without them. */
        while (zeros < STEPS && memcmp(torn, bytes, h.ends[zeros]) == 0)
            zeros++;
        expect_steps(&h, other, zeros);
        write_file(copy, bytes, at); /* and as a file that ends there: padding is not missed */
        if (at % 8 == 0)
            expect_steps(&h, other, whole_before(&h, at));
    }
    forget(&h);
}

Test(quota_embedded_log, a_flipped_bit_anywhere_ends_the_log_before_its_record)
{
    struct history h;
    static unsigned char bytes[8192];
    char path[128], other[80], copy[128];

    live_through(&h);
    path_of(1, path);
    snprintf(other, sizeof(other), "%s/other", dir);
    snprintf(copy, sizeof(copy), "%s/log.1", other);
    cr_assert_eq(mkdir(other, 0700), 0);

    size_t len = read_file(path, bytes, h.ends[STEPS - 1]);

    write_file(copy, bytes, len);
    expect_steps(&h, other, STEPS);
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= (unsigned char)(1U << at % 8);
        write_file(copy, bytes, len);
        bytes[at] ^= (unsigned char)(1U << at % 8);

        int steps = whole_before(&h, at);
        bool is_padding = at >= h.ends[steps] - 7 && bytes[at] == 0;

        if (!is_padding)
            expect_steps(&h, other, steps);
    }
    forget(&h);
}

/* --- a disk that fails --- */

static int syncs_to_fail;

static int failing_sync(int fd)
{
    if (syncs_to_fail == 0)
        return fdatasync(fd);
    syncs_to_fail--;
    errno = EIO;
    return -1;
}

/* After a sync failed, pages that look written may not be: then they are lost here. */
static void lose(uint64_t epoch, size_t from)
{
    char path[128];
    static const char zeros[64];

    path_of(epoch, path);

    int fd = open(path, O_WRONLY);

    cr_assert_eq(pwrite(fd, zeros, sizeof(zeros), (off_t)from), sizeof(zeros));
    close(fd);
}

Test(quota_embedded_log, a_failing_sync_is_never_trusted_again)
{
    embedded_log_sync_with(log_of, failing_sync);
    cr_assert_eq(append("one"), ST_OK);

    size_t at = embedded_log_bytes(log_of);

    syncs_to_fail = 2;
    cr_assert_eq(append("two"), ST_UNAVAILABLE);
    lose(1, at);
    cr_assert_eq(append("two three"), ST_UNAVAILABLE);
    cr_assert_eq(append("two three"), ST_OK);
    cr_assert_eq(append("four"), ST_OK);
    open_from(0);
    expect("one two three four");
}

Test(quota_embedded_log, what_a_failed_sync_wrote_may_be_found_and_is_set_again)
{
    embedded_log_sync_with(log_of, failing_sync);
    cr_assert_eq(append("one"), ST_OK);
    syncs_to_fail = 1;
    cr_assert_eq(append("two"), ST_UNAVAILABLE);
    cr_assert_eq(append("two!"), ST_OK);
    open_from(0);
    expect("one two two!");
}

Test(quota_embedded_log, what_was_written_is_found_without_a_sync)
{
    cr_assert_eq(append("one"), ST_OK);
    cr_assert_eq(write_one("two"), ST_OK);
    cr_assert_eq(embedded_log_turn(log_of), 2);
    cr_assert_eq(write_one("three"), ST_OK);
    open_from(0);
    expect("one two three");
}

Test(quota_embedded_log, a_sync_that_fails_takes_all_since_the_last_one_with_it)
{
    embedded_log_sync_with(log_of, failing_sync);
    cr_assert_eq(append("one"), ST_OK);

    size_t at = embedded_log_bytes(log_of);

    cr_assert_eq(write_one("two"), ST_OK);
    cr_assert_eq(write_one("three"), ST_OK);
    syncs_to_fail = 1;
    cr_assert_eq(sync_all(), ST_UNAVAILABLE);
    lose(1, at);
    cr_assert_eq(append("two three"), ST_OK);
    open_from(0);
    expect("one two three");
}

Test(quota_embedded_log, a_sync_reaches_the_segment_before)
{
    embedded_log_sync_with(log_of, failing_sync);
    cr_assert_eq(write_one("one"), ST_OK);
    cr_assert_eq(embedded_log_turn(log_of), 2);
    syncs_to_fail = 1;
    cr_assert_eq(append("two"), ST_UNAVAILABLE);
    cr_assert(exists(1), "whoever was told of it may still find it");
    cr_assert_eq(append("one two"), ST_OK);
    open_from(2);
    expect("one two");
}

/* On a disk that fails again and again, what was only written is gone once it was written again. */
Test(quota_embedded_log, tries_that_failed_leave_one_segment)
{
    embedded_log_sync_with(log_of, failing_sync);
    syncs_to_fail = 5;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(append("all"), ST_UNAVAILABLE);
    cr_assert(!exists(1) && !exists(4) && exists(5));
    cr_assert_eq(append("all"), ST_OK);
    cr_assert(!exists(5) && exists(6));
}

Test(quota_embedded_log, segments_of_failures_go_with_the_others)
{
    embedded_log_sync_with(log_of, failing_sync);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(append("good"), ST_OK);
        syncs_to_fail = 3;
        for (int k = 0; k < 3; k++)
            cr_assert_eq(append("bad"), ST_UNAVAILABLE);
    }

    uint64_t epoch = embedded_log_turn(log_of);
    int files = 0;

    cr_assert_eq(append("last"), ST_OK);
    embedded_log_forget(log_of, epoch);
    for (uint64_t i = 1; i <= epoch; i++)
        files += exists(i);
    cr_assert_eq(files, 2, "the present one and a spare");
    open_from(epoch);
    expect("last");
}
