/* SPDX-License-Identifier: Apache-2.0 */
/* key_step.h - a task's commands, some at a time.  Private to key_task.c and key_step.c. */
#pragma once

#include "identity/key_task.h"

#define KEY_STEPS_MAX 64

enum key_step_kind {
    STEP_NONE_YET,
    STEP_READ_INDEX,  /* the keys of the task's account, into task->found */
    STEP_READ_KEY,    /* into the answer, if it is the account's */
    STEP_READ_BUCKET, /* all keys of a bucket that begin with task->digits, into the answer */
    STEP_WRITE_INDEX,
    STEP_WRITE_KEY,
    STEP_REMOVE_KEY,
    STEP_REMOVE_INDEX,
    STEP_ANNOUNCE, /* that a key was revoked or changed */
};

struct key_step {
    struct key_call call;
    struct key_task *task;
    enum key_step_kind kind;
    unsigned char sha256[KEY_SHA256_LEN];
};

typedef void key_next_fn(struct key_task *task);

struct key_task {
    struct keys *keys;
    struct op *op;          /* NULL: nobody waits any more */
    struct key_answer *out; /* lent with op */
    struct key_answer answer;
    enum status st;
    key_next_fn *next; /* when all steps are done */
    int left;          /* steps that are not */
    int steps_len;
    struct key_step steps[KEY_STEPS_MAX];

    struct key_record record; /* ADD: what is to be kept; else only its account: "" for all */
    struct account_digest account;
    unsigned char sha256[KEY_SHA256_LEN]; /* ADD */
    bool is_changed;                      /* ADD: the key was there before */
    char digits[KEY_CURSOR_MAX + 1];
    int len_wanted;
    uint32_t bucket;                        /* LIST of all: the next */
    int buckets_wide;                       /* how many are asked for at once */
    unsigned char (*found)[KEY_SHA256_LEN]; /* owned; the keys of the account, ascending */
    int found_len, found_size, found_at;
    /* Of those that were read last: the account's, and those that are gone. */
    int mine_len;
    unsigned char mine[KEY_STEPS_MAX][KEY_SHA256_LEN];
};

/* NULL: no memory. */
struct key_task *key_task_new(struct keys *keys, struct key_answer *out, struct op *op);
/* One step more of the next run; NULL for those that are about none. */
void key_task_add_step(struct key_task *task, enum key_step_kind kind, const unsigned char *sha256);
/* Runs the steps; then next, unless one failed: that ends the task. */
void key_task_run(struct key_task *task, key_next_fn *next);
/* The same with the first steps, of which there is one at least: what the asker is to be told now. */
MUST_CHECK enum status key_task_begin(struct key_task *task, key_next_fn *next);
void key_task_end(struct key_task *task, enum status st);
