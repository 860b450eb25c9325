/* SPDX-License-Identifier: Apache-2.0 */
/* key_task.c - what operators do with a keystore.      Runs on: control thread.
 * The order of the steps keeps one promise: a key that works is listed, whatever breaks off where. */
#include "identity/key_task.h"

#include <stdlib.h>
#include <string.h>

#include "identity/identity.h"
#include "identity/key_step.h"

static void be_about(struct key_task *task, const char *account)
{
    (void)key_record_keep(task->record.account, ACCOUNT_ID_MAX, text_of(account));
    task->account = identity_digest(text_of(task->record.account));
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, KEY_SHA256_LEN);
}

static void sort_found(struct key_task *task)
{
    if (task->found_len > 0)
        qsort(task->found, (size_t)task->found_len, KEY_SHA256_LEN, compare);
}

/* Reads the next of the account's keys that were found; false: there is none. */
static bool read_next(struct key_task *task, key_next_fn *next)
{
    if (task->found_at == task->found_len)
        return false;
    task->mine_len = 0;
    for (int i = 0; i < KEY_STEPS_MAX && task->found_at < task->found_len; i++)
        key_task_add_step(task, STEP_READ_KEY, task->found[task->found_at++]);
    key_task_run(task, next);
    return true;
}

static void run_one(struct key_task *task, enum key_step_kind kind, const unsigned char *sha256,
                    key_next_fn *next)
{
    key_task_add_step(task, kind, sha256);
    key_task_run(task, next);
}

static void be_done(struct key_task *task)
{
    key_task_end(task, ST_OK);
}

/* --- add ---------------------------------------------------------------------------------------------------------------- */

static void on_key_written(struct key_task *task)
{
    if (task->is_changed)
        run_one(task, STEP_ANNOUNCE, NULL, be_done);
    else
        be_done(task);
}

static void on_index_written(struct key_task *task)
{
    run_one(task, STEP_WRITE_KEY, task->sha256, on_key_written);
}

/* False: what is to be kept names another than the account's other keys have. */
static bool agree(char *mine, const char *there)
{
    if (*mine)
        return strcmp(mine, there) == 0;
    return key_record_keep(mine, KEY_NAME_MAX, text_of(there));
}

static void on_others_read(struct key_task *task)
{
    struct key_answer *answer = &task->answer;

    for (int i = 0; i < answer->len; i++) {
        const struct key_row *row = &answer->rows[i];

        if (memcmp(row->sha256, task->sha256, KEY_SHA256_LEN) == 0)
            continue;
        if (!agree(task->record.team, row->record.team) ||
            !agree(task->record.zone, row->record.zone)) {
            answer->rows[0] = *row;
            answer->len = 1;
            key_task_end(task, ST_REFUSED);
            return;
        }
        break;
    }
    if (answer->size == 0)
        answer->rows = calloc(1, sizeof(*answer->rows));
    if (!answer->rows) {
        key_task_end(task, ST_NOMEM);
        return;
    }
    answer->size = MAX(answer->size, 1);
    answer->len = 1;
    memcpy(answer->rows[0].sha256, task->sha256, KEY_SHA256_LEN);
    answer->rows[0].record = task->record;
    run_one(task, STEP_WRITE_INDEX, task->sha256, on_index_written);
}

static void on_index_for_add(struct key_task *task)
{
    if (!read_next(task, on_others_read))
        on_others_read(task);
}

enum status key_task_add(struct keys *keys, const unsigned char sha256[KEY_SHA256_LEN],
                         const struct key_record *record, struct key_answer *out, struct op *op)
{
    struct key_task *task = key_task_new(keys, out, op);

    if (!task)
        return ST_NOMEM;
    task->record = *record;
    be_about(task, record->account);
    memcpy(task->sha256, sha256, KEY_SHA256_LEN);
    key_task_add_step(task, STEP_READ_INDEX, NULL);
    return key_task_begin(task, on_index_for_add);
}

/* --- list --------------------------------------------------------------------------------------------------------------- */

static void set_cursor(struct key_task *task, const unsigned char *bytes, size_t len)
{
    struct text_out out;

    text_out_init(&out, task->answer.cursor, sizeof(task->answer.cursor));
    text_out_hex(&out, bytes, len);
}

static void on_keys_read(struct key_task *task)
{
    if (task->answer.len >= task->len_wanted && task->found_at < task->found_len)
        set_cursor(task, task->found[task->found_at - 1], KEY_SHA256_LEN);
    else if (read_next(task, on_keys_read))
        return;
    be_done(task);
}

/* The cursor is the key that the page before ended with. */
static void on_index_for_list(struct key_task *task)
{
    unsigned char last[KEY_SHA256_LEN];

    sort_found(task);
    if (text_unhex(text_of(task->digits), last, sizeof(last)) == ST_OK)
        while (task->found_at < task->found_len &&
               memcmp(task->found[task->found_at], last, KEY_SHA256_LEN) <= 0)
            task->found_at++;
    if (!read_next(task, on_keys_read))
        be_done(task);
}

static void read_buckets(struct key_task *task);

/* Empty buckets are passed over faster and faster; full ones are read a few at a time, so that pages stay small. */
static void on_buckets_read(struct key_task *task)
{
    unsigned char next[2] = {(unsigned char)(task->bucket >> 8), (unsigned char)task->bucket};

    if (task->bucket < KEY_BUCKETS && task->answer.len < task->len_wanted) {
        task->buckets_wide =
            task->answer.len > 0 ? task->buckets_wide : MIN(2 * task->buckets_wide, KEY_STEPS_MAX);
        read_buckets(task);
        key_task_run(task, on_buckets_read);
        return;
    }
    if (task->bucket < KEY_BUCKETS)
        set_cursor(task, next, sizeof(next));
    be_done(task);
}

static void read_buckets(struct key_task *task)
{
    for (int i = 0; i < task->buckets_wide && task->bucket < KEY_BUCKETS; i++, task->bucket++) {
        unsigned char sha256[KEY_SHA256_LEN] = {(unsigned char)(task->bucket >> 8),
                                                (unsigned char)task->bucket};

        key_task_add_step(task, STEP_READ_BUCKET, sha256);
    }
}

static enum status list_all(struct key_task *task, const char *cursor)
{
    unsigned char first[2];

    if (text_unhex(text_of(cursor), first, sizeof(first)) == ST_OK)
        task->bucket = (uint32_t)first[0] << 8 | first[1];
    task->buckets_wide = 8;
    read_buckets(task);
    return key_task_begin(task, on_buckets_read);
}

enum status key_task_list(struct keys *keys, const struct key_list_terms *terms,
                          struct key_answer *out, struct op *op)
{
    struct key_task *task = key_task_new(keys, out, op);

    if (!task)
        return ST_NOMEM;
    task->len_wanted = terms->len;
    if (!*terms->account)
        return list_all(task, terms->cursor);
    be_about(task, terms->account);
    (void)key_record_keep(task->digits, KEY_CURSOR_MAX, text_of(terms->cursor));
    key_task_add_step(task, STEP_READ_INDEX, NULL);
    return key_task_begin(task, on_index_for_list);
}

/* --- revoke one --------------------------------------------------------------------------------------------------------- */

static void on_revocation_announced(struct key_task *task)
{
    run_one(task, STEP_REMOVE_INDEX, task->answer.rows[0].sha256, be_done);
}

static void on_key_removed(struct key_task *task)
{
    run_one(task, STEP_ANNOUNCE, NULL, on_revocation_announced);
}

static void be_missing(struct key_task *task)
{
    key_task_end(task, ST_CLOSED);
}

/* One that is not there may have been taken out by a call that broke off before it was announced. */
static void on_bucket_for_revoke(struct key_task *task)
{
    const struct key_answer *answer = &task->answer;

    if (answer->len == 0) {
        run_one(task, STEP_ANNOUNCE, NULL, be_missing);
        return;
    }
    if (answer->len > 1) {
        key_task_end(task, ST_LIMIT);
        return;
    }
    be_about(task, answer->rows[0].record.account);
    run_one(task, STEP_REMOVE_KEY, answer->rows[0].sha256, on_key_removed);
}

enum status key_task_revoke(struct keys *keys, const char *digits, struct key_answer *out,
                            struct op *op)
{
    struct key_task *task = key_task_new(keys, out, op);
    unsigned char sha256[KEY_SHA256_LEN] = {0};

    if (!task)
        return ST_NOMEM;
    (void)key_record_keep(task->digits, KEY_CURSOR_MAX, text_of(digits));
    if (strlen(digits) < KEY_ID_DIGITS || text_unhex((struct text){digits, 4}, sha256, 2)) {
        free(task);
        return ST_CLOSED;
    }
    key_task_add_step(task, STEP_READ_BUCKET, sha256);
    return key_task_begin(task, on_bucket_for_revoke);
}

/* --- revoke all of an account ------------------------------------------------------------------------------------------- */

static void on_index_for_revoke(struct key_task *task);

static void run_mine(struct key_task *task, enum key_step_kind kind, key_next_fn *next)
{
    for (int i = 0; i < task->mine_len; i++)
        key_task_add_step(task, kind, task->mine[i]);
    key_task_run(task, next);
}

static void on_mine_announced(struct key_task *task)
{
    run_mine(task, STEP_REMOVE_INDEX, on_index_for_revoke);
}

static void on_mine_removed(struct key_task *task)
{
    run_one(task, STEP_ANNOUNCE, NULL, on_mine_announced);
}

static void on_mine_read(struct key_task *task)
{
    run_mine(task, STEP_REMOVE_KEY, on_mine_removed);
}

/* Some of its keys after others; entries whose keys are gone already go with them. */
static void on_index_for_revoke(struct key_task *task)
{
    if (!read_next(task, on_mine_read))
        be_done(task);
}

enum status key_task_revoke_account(struct keys *keys, const char *account, struct key_answer *out,
                                    struct op *op)
{
    struct key_task *task = key_task_new(keys, out, op);

    if (!task)
        return ST_NOMEM;
    be_about(task, account);
    key_task_add_step(task, STEP_READ_INDEX, NULL);
    return key_task_begin(task, on_index_for_revoke);
}
