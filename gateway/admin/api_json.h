/* SPDX-License-Identifier: Apache-2.0 */
/* api_json.h - what all bodies and answers of the API have in common: one flat JSON object in, JSON out.  Pure. */
#pragma once

#include "admin/route.h"
#include "base/json.h"

#define API_WHY_MAX 512 /* what is wrong with an ask, and what was expected */

/* A member that a body may have. */
struct api_field {
    const char *name;
    enum json_kind kind;
    bool may_be_null; /* which is as if it were not there */
    bool (*read)(void *into, struct text value);
    const char *expected;
};
/* Reads an object of these fields, at most 32, each there once or not at all.  ST_OK, or ST_INVALID with why. */
MUST_CHECK enum status api_read_fields(struct text body, const struct api_field *fields, size_t len,
                                       void *into, char why[API_WHY_MAX]);
/* Reads n of a query: 1 to most; *out stays where there is none.  ST_OK, or ST_INVALID with why. */
MUST_CHECK enum status api_read_count(struct text query, int most, int *out, char why[API_WHY_MAX]);

/* Begins an answer of at most so many bytes, to be written to text.  False: no memory, and the answer is a 500. */
bool api_answer_begin(struct admin_answer *out, struct text_out *text, size_t bytes);
void api_answer_end(struct admin_answer *out, struct text_out *text);
/* A whole answer: {"error": why}. */
void api_answer_error(struct admin_answer *out, int status, const char *why);

void api_add_string(struct text_out *out, const char *value); /* null for NULL */
