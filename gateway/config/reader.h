/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - one load at work: nodes with their places, and the one error. */
#pragma once

#include "config/memory.h"

enum node_kind { NODE_NONE, NODE_SCALAR, NODE_LIST, NODE_MAPPING };

struct node {
    enum node_kind kind;
    const char *file;
    int line, column; /* from 1 */
    struct text text; /* of a scalar: no NUL within, one behind it */
    struct node *key; /* of a value in a mapping */
    int len;          /* of a list or mapping: its items, or values */
    struct node *first, *last;
    struct node *next; /* the next item of the list or mapping that this one is in */
};

/* One load at work. */
struct reader {
    struct arena scratch; /* owned: files and trees, gone when the load is over */
    struct config_memory *memory;
    const struct config_known *known;
    int64_t now_s;
    char *error; /* CONFIG_ERROR_MAX bytes: empty, or the first thing that was wrong */
};

void reader_init(struct reader *r, struct config_memory *memory, const struct config_known *known,
                 int64_t now_s, char error[CONFIG_ERROR_MAX]);
void reader_fini(struct reader *r);

/* "file:line:column: what" unless something was wrong before.  Always ST_INVALID. */
MUST_CHECK enum status reader_fail(struct reader *r, const struct node *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* No memory: for returns that say so.  Always ST_NOMEM. */
MUST_CHECK enum status reader_no_memory(struct reader *r);

/* A node's text as it may stand in an error: short, printable. */
#define READER_ECHO_MAX 48
const char *reader_echo(const struct node *node, char buf[READER_ECHO_MAX]);

/* The file that a node names, relative to the file that the node is in.  NULL: no memory. */
const char *reader_beside(struct reader *r, const struct node *node);
/* The value of that key in a mapping, or NULL. */
const struct node *node_find(const struct node *mapping, struct text key);
