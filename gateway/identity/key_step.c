/* SPDX-License-Identifier: Apache-2.0 */
/* key_step.c - the commands of a task, and what is made of their replies.      Runs on: control thread. */
#include "identity/key_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define FIRST_ROWS 64

void key_answer_free(struct key_answer *answer)
{
    free(answer->rows);
    *answer = (struct key_answer){.len = 0};
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void free_task(struct key_task *task)
{
    key_answer_free(&task->answer);
    free(task->found);
    free(task);
}

/* The asker is told; steps that are on their way are waited for before the task is freed. */
static void tell(struct key_task *task, enum status st)
{
    struct op *op = task->op;

    task->op = NULL;
    if (!op)
        return;
    if (st == ST_OK || st == ST_REFUSED) {
        *task->out = task->answer;
        task->answer = (struct key_answer){.len = 0};
    }
    op_done(op, st);
}

void key_task_end(struct key_task *task, enum status st)
{
    tell(task, st);
    free_task(task);
}

static void on_cancel(struct op *op)
{
    struct key_task *task = op->callee;

    task->op = NULL;
    task->out = NULL;
}

struct key_task *key_task_new(struct keys *keys, struct key_answer *out, struct op *op)
{
    struct key_task *task = calloc(1, sizeof(*task));

    if (!task)
        return NULL;
    task->keys = keys;
    task->op = op;
    task->out = out;
    return task;
}

/* --- replies ------------------------------------------------------------------------------------------------------------ */

/* An array that holds one more, or NULL. */
static void *grow(void *array, int *size, size_t each)
{
    int wider = *size ? *size * 2 : FIRST_ROWS;
    void *grown = realloc(array, (size_t)wider * each);

    if (grown)
        *size = wider;
    return grown;
}

static void add_row(struct key_task *task, const unsigned char *sha256,
                    const struct key_record *record)
{
    struct key_answer *answer = &task->answer;

    if (answer->len == answer->size) {
        struct key_row *rows = grow(answer->rows, &answer->size, sizeof(*rows));

        if (!rows) {
            task->st = ST_NOMEM;
            return;
        }
        answer->rows = rows;
    }
    struct key_row *row = &answer->rows[answer->len++];

    memcpy(row->sha256, sha256, KEY_SHA256_LEN);
    row->record = *record;
}

static void add_found(struct key_task *task, const unsigned char *sha256)
{
    if (task->found_len == task->found_size) {
        void *found = grow(task->found, &task->found_size, KEY_SHA256_LEN);

        if (!found) {
            task->st = ST_NOMEM;
            return;
        }
        task->found = found;
    }
    memcpy(task->found[task->found_len++], sha256, KEY_SHA256_LEN);
}

static void take_index(struct key_task *task, const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *field = reply->element[i];

        if (field->type == REDIS_REPLY_STRING && field->len == KEY_INDEX_LEN &&
            memcmp(field->str, task->account.bytes, KEY_INDEX_PREFIX) == 0)
            add_found(task, (const unsigned char *)field->str + KEY_INDEX_PREFIX);
    }
}

static bool read_record(const redisReply *reply, struct key_record *out)
{
    return reply->type == REDIS_REPLY_STRING &&
           key_record_read((struct text){reply->str, reply->len}, out) == ST_OK;
}

static void take_key(struct key_step *step, const redisReply *reply)
{
    struct key_task *task = step->task;
    struct key_record record;

    bool is_there = reply->type != REDIS_REPLY_NIL;
    if (is_there &&
        (!read_record(reply, &record) || strcmp(record.account, task->record.account) != 0))
        return;
    memcpy(task->mine[task->mine_len++], step->sha256, KEY_SHA256_LEN);
    if (is_there)
        add_row(task, step->sha256, &record);
}

static bool begins_with(const unsigned char *sha256, const char *digits)
{
    char hex[2 * KEY_SHA256_LEN + 1];
    struct text_out out;

    text_out_init(&out, hex, sizeof(hex));
    text_out_hex(&out, sha256, KEY_SHA256_LEN);
    return strncmp(hex, digits, strlen(digits)) == 0;
}

static void take_bucket(struct key_task *task, const redisReply *reply)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *field = reply->element[i];
        struct key_record record;

        if (field->type == REDIS_REPLY_STRING && field->len == KEY_SHA256_LEN &&
            begins_with((const unsigned char *)field->str, task->digits) &&
            read_record(reply->element[i + 1], &record))
            add_row(task, (const unsigned char *)field->str, &record);
    }
}

static void take(struct key_step *step, const redisReply *reply)
{
    switch (step->kind) {
    case STEP_READ_INDEX:
        take_index(step->task, reply);
        return;
    case STEP_READ_KEY:
        take_key(step, reply);
        return;
    case STEP_READ_BUCKET:
        take_bucket(step->task, reply);
        return;
    case STEP_WRITE_KEY:
        step->task->is_changed = reply->integer == 0;
        return;
    case STEP_NONE_YET:
    case STEP_WRITE_INDEX:
    case STEP_REMOVE_KEY:
    case STEP_REMOVE_INDEX:
    case STEP_ANNOUNCE:
        return;
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------------- */

static struct text bytes_of(const unsigned char *bytes, size_t len)
{
    return (struct text){(const char *)bytes, len};
}

static void write_step(struct key_call *call, struct redis_link *link)
{
    static const struct command {
        const char *name;
        int args; /* place, field, value */
        char letter;
    } commands[] = {
        [STEP_READ_INDEX] = {"HKEYS", 1, 'a'},    [STEP_READ_KEY] = {"HGET", 2, 'k'},
        [STEP_READ_BUCKET] = {"HGETALL", 1, 'k'}, [STEP_WRITE_INDEX] = {"HSET", 3, 'a'},
        [STEP_WRITE_KEY] = {"HSET", 3, 'k'},      [STEP_REMOVE_KEY] = {"HDEL", 2, 'k'},
        [STEP_REMOVE_INDEX] = {"HDEL", 2, 'a'},
    };
    const struct key_step *step = container_of(call, struct key_step, call);
    const struct command *command = &commands[step->kind];
    unsigned char index[KEY_INDEX_LEN];
    char place[KEY_PLACE_MAX], value[KEY_VALUE_MAX];
    struct text_out out;

    redis_link_begin(link, 1 + command->args);
    redis_link_arg(link, text_of(command->name));
    redis_link_arg(link, key_place(call->bucket, command->letter, place));
    key_index_field(&step->task->account, step->sha256, index);
    if (command->args >= 2)
        redis_link_arg(link, command->letter == 'a' ? bytes_of(index, sizeof(index))
                                                    : bytes_of(step->sha256, KEY_SHA256_LEN));
    if (command->args < 3)
        return;
    text_out_init(&out, value, sizeof(value));
    if (command->letter == 'k')
        key_record_print(&step->task->record, &out);
    redis_link_arg(link, text_out_text(&out));
}

static void write_announcement(struct key_call *call, struct redis_link *link)
{
    UNUSED(call);
    redis_link_begin(link, 2);
    redis_link_arg(link, TEXT("INCR"));
    redis_link_arg(link, KEY_COUNTER);
}

static void on_late(struct key_call *call)
{
    tell(container_of(call, struct key_step, call)->task, ST_UNAVAILABLE);
}

static void finish_run(struct key_task *task)
{
    if (task->st)
        key_task_end(task, task->st);
    else
        task->next(task);
}

static void on_done(struct key_call *call, const redisReply *reply)
{
    struct key_step *step = container_of(call, struct key_step, call);
    struct key_task *task = step->task;

    if (reply)
        take(step, reply);
    else
        task->st = ST_UNAVAILABLE;
    if (--task->left == 0)
        finish_run(task);
}

void key_task_add_step(struct key_task *task, enum key_step_kind kind, const unsigned char *sha256)
{
    struct key_step *step = &task->steps[task->steps_len++];

    ASSERT(task->steps_len <= KEY_STEPS_MAX);
    memset(step, 0, sizeof(*step));
    step->task = task;
    step->kind = kind;
    step->call.write = kind == STEP_ANNOUNCE ? write_announcement : write_step;
    step->call.late = on_late;
    step->call.done = on_done;
    if (sha256)
        memcpy(step->sha256, sha256, KEY_SHA256_LEN);
}

static uint32_t bucket_of(const struct key_step *step)
{
    switch (step->kind) {
    case STEP_READ_INDEX:
    case STEP_WRITE_INDEX:
    case STEP_REMOVE_INDEX:
        return key_account_bucket(&step->task->account);
    case STEP_READ_KEY:
    case STEP_READ_BUCKET:
    case STEP_WRITE_KEY:
    case STEP_REMOVE_KEY:
        return key_bucket(step->sha256);
    case STEP_NONE_YET:
    case STEP_ANNOUNCE:
        break;
    }
    return KEY_COUNTER_BUCKET;
}

/* No reply comes before this is over, so all steps are counted by then. */
static void start_steps(struct key_task *task, key_next_fn *next)
{
    int len = task->steps_len;

    task->next = next;
    task->steps_len = 0;
    task->left = len;
    for (int i = 0; i < len; i++) {
        struct key_step *step = &task->steps[i];

        if (key_call_start(&task->keys->line, &step->call, bucket_of(step)) == ST_PENDING)
            continue;
        task->st = ST_UNAVAILABLE;
        task->left--;
    }
}

void key_task_run(struct key_task *task, key_next_fn *next)
{
    start_steps(task, next);
    if (task->left == 0)
        finish_run(task);
}

enum status key_task_begin(struct key_task *task, key_next_fn *next)
{
    start_steps(task, next);
    if (task->left == 0) {
        free_task(task);
        return ST_UNAVAILABLE;
    }
    task->op->callee = task;
    task->op->cancel = on_cancel;
    return ST_PENDING;
}
