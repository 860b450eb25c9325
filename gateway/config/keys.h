/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - mappings by table: one row a key, with how it is read and what to say where it is wrong.
 *
 * A table is read in its own order, whatever the order in the file, so a row may rely on those above it. */
#pragma once

#include "config/reader.h"

struct key;

/* Reads one value into the object that the table is about.  ST_INVALID without an error said makes the reader of the table
 * say the usual one: the value, the key, and the row's expected. */
typedef enum status key_read_fn(struct reader *r, const struct key *key, const struct node *node,
                                void *object);

enum key_flag {
    KEY_REQUIRED = 1,
    KEY_SECRET = 2, /* its value is never shown in an error */
};

struct key {
    const char *name;
    enum node_kind kind; /* NODE_NONE: read() judges */
    unsigned flags;
    key_read_fn *read;
    size_t offset;     /* of the field in the object, for the readers below */
    int64_t low, high; /* bounds of a number, inclusive; of a text's length */
    const char *expected;
};

MUST_CHECK enum status keys_read(struct reader *r, const struct node *mapping,
                                 const struct key *rows, int rows_len, void *object);
/* The parts of it, for a mapping that is more than its table. */
MUST_CHECK enum status keys_read_known(struct reader *r, const struct node *mapping,
                                       const struct key *rows, int rows_len, void *object);
const struct key *key_find(const struct key *rows, int rows_len, struct text name);
/* Complains about a key that is not one of names, and says which is meant, or all. */
MUST_CHECK enum status key_unknown(struct reader *r, const struct node *key,
                                   const struct text *names, int names_len);
/* "wrong value 'x' for 'key', expected ..." at the node. */
MUST_CHECK enum status key_wrong(struct reader *r, const struct node *node, const char *name,
                                 const char *expected, bool is_secret);

/* Readers of plain fields. */
key_read_fn key_int;         /* int */
key_read_fn key_int64;       /* int64_t */
key_read_fn key_duration_ms; /* int64_t */
key_read_fn key_thousandths; /* int64_t */
key_read_fn key_name;        /* const char *: value_is_name of at most high bytes */
key_read_fn key_bool;        /* bool: true or false */
key_read_fn key_token;       /* const char *: a field name */

static inline void *key_field(const struct key *key, void *object)
{
    return (char *)object + key->offset;
}
