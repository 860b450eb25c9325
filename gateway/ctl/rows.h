/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h - answers of the API as rows of texts, and rows as a table for people.  Pure, but for printing. */
#pragma once

#include <stdio.h>

#include "base/text.h"

#define ROWS_COLUMNS_MAX 8

struct column {
    const char *key;   /* of the member in each object */
    const char *title; /* over the column */
    bool is_number;    /* to the right */
};

struct rows {
    const struct column *columns;
    int columns_len;
    int len;
    char **cells; /* owned, and each: len * columns_len; "" where a member is missing or null */
};

/* The objects in the array of that name, in the outermost object.  ST_OK, ST_NOMEM, or ST_INVALID: it is none such. */
MUST_CHECK enum status rows_read(struct text json, const char *array, const struct column *columns,
                                 int columns_len, struct rows *out);
/* A member of the outermost object that is a text or a number; "" where there is none.  To be freed; NULL: no memory. */
char *rows_member(struct text json, const char *name);
const char *rows_cell(const struct rows *rows, int row, int column);
void rows_print(const struct rows *rows, FILE *file);
void rows_free(struct rows *rows);
