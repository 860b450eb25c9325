/* SPDX-License-Identifier: Apache-2.0 */
/* test_embedded_db.c - the database itself: who reads while another writes, a map that grows, and other versions. */

#include <criterion/criterion.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "quota/embedded_db.h"

static char dir[64];
static struct embedded_db *db;

static enum status open_db(char *reason, size_t size)
{
    struct text_out error;

    text_out_init(&error, reason, size);
    return embedded_db_open(dir, 1 << 16, &error, &db);
}

static void up(void)
{
    char reason[256];

    log_set_level(LOG_NONE);
    strcpy(dir, "/tmp/mg-db-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(open_db(reason, sizeof(reason)), ST_OK, "%s", reason);
}

static void down(void)
{
    static const char *const names[] = {"data.mdb", "lock"};
    char path[128];

    embedded_db_close(&db);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

TestSuite(quota_embedded_db, .init = up, .fini = down);

/* Rows 0 .. len, all with one value. */
struct rows {
    int len;
    int64_t value;
};

static struct row_key key_of(int row)
{
    struct account_digest digest = {{0}};

    memcpy(digest.bytes, &row, sizeof(row));
    return row_key(&digest, 1, 1, 1000);
}

static void put_rows(struct db_txn *txn, void *owner)
{
    const struct rows *rows = owner;

    for (int i = 0; i < rows->len; i++) {
        struct row_key key = key_of(i);

        db_put(txn, &key, &rows->value, sizeof(rows->value));
    }
}

/* -1: it is not there. */
static int64_t read_row(int row)
{
    struct row_key key = key_of(row);
    int64_t value = 0;
    bool exists;

    cr_assert_eq(db_read(db, &key, &value, sizeof(value), &exists), ST_OK);
    return exists ? value : -1;
}

static void write_rows(int len, int64_t value)
{
    cr_assert_eq(db_keep_view(db), ST_OK);
    cr_assert_eq(db_write(db, put_rows, &(struct rows){len, value}), ST_OK);
    db_renew_view(db);
}

Test(quota_embedded_db, a_view_is_of_what_was_there_before_the_write_began)
{
    write_rows(8, 1);
    for (int64_t value = 2; value < 20; value++) { /* pages are used again */
        cr_assert_eq(db_keep_view(db), ST_OK);
        cr_assert_eq(db_write(db, put_rows, &(struct rows){8, value}), ST_OK);
        for (int row = 0; row < 8; row++)
            cr_assert_eq(read_row(row), value - 1);
        db_renew_view(db);
        cr_assert_eq(read_row(7), value);
        cr_assert_eq(read_row(8), -1);
    }
}

Test(quota_embedded_db, a_map_that_is_full_grows_and_the_view_stays)
{
    enum status st;
    int times = 0;

    write_rows(8, 1);
    cr_assert_eq(db_keep_view(db), ST_OK);
    st = db_write(db, put_rows, &(struct rows){5000, 2});
    while (st == ST_LIMIT) {
        cr_assert_eq(read_row(7), 1);
        cr_assert_eq(db_grow(db), ST_OK);
        cr_assert_eq(read_row(7), 1);
        st = db_write(db, put_rows, &(struct rows){5000, 2});
        times++;
    }
    db_renew_view(db);
    cr_assert_eq(st, ST_OK);
    cr_assert_gt(times, 1);
    cr_assert_eq(db_count(db), 5000);
    cr_assert_eq(read_row(4999), 2);
}

/* --- versions --- */

/* As another program, or another version of this one, would have left it. */
static void leave_version(const char *version, bool has_holds)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta, holds;
    MDB_val key = {7, "version"}, value = {strlen(version), (void *)(uintptr_t)version};

    embedded_db_close(&db);
    cr_assert_eq(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 8);
    cr_assert_eq(mdb_env_open(env, dir, MDB_NOLOCK, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    cr_assert_eq(mdb_put(txn, meta, &key, &value, 0), 0);
    if (has_holds) {
        cr_assert_eq(mdb_dbi_open(txn, "holds", MDB_CREATE, &holds), 0);
        cr_assert_eq(mdb_put(txn, holds, &key, &value, 0), 0);
    }
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

Test(quota_embedded_db, another_version_is_refused)
{
    char reason[256];

    leave_version("other", false);
    cr_assert_eq(open_db(reason, sizeof(reason)), ST_INVALID);
    cr_assert(strstr(reason, "another version"), "%s", reason);
}

/* Its rows are as ours; its holds are dropped, which leaves their charges. */
Test(quota_embedded_db, version_2_is_taken_over)
{
    char reason[256];

    write_rows(8, 3);
    leave_version("meltguard 2", true);
    cr_assert_eq(open_db(reason, sizeof(reason)), ST_OK, "%s", reason);
    cr_assert_eq(read_row(7), 3);
    leave_version("meltguard 3", false);
    cr_assert_eq(open_db(reason, sizeof(reason)), ST_OK, "%s", reason);
    cr_assert_eq(read_row(7), 3);
}
