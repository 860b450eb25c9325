/* SPDX-License-Identifier: Apache-2.0 */
/* api_json.c - flat JSON in by a table of fields, JSON out into one block.      Runs on: control thread.  Pure. */
#include "admin/api_json.h"

#include <stdio.h>
#include <stdlib.h>

/* --- in ----------------------------------------------------------------------------------------------------------------- */

struct reading {
    const struct api_field *fields;
    size_t len;
    size_t at;     /* the field whose value comes next */
    unsigned seen; /* bit i: fields[i] */
    void *into;
    char *why;
};

static void complain_unknown(const struct reading *r)
{
    struct text_out out;

    text_out_init(&out, r->why, API_WHY_MAX);
    text_out_add(&out, TEXT("unknown key, expected "));
    for (size_t i = 0; i < r->len; i++) {
        if (i > 0)
            text_out_add(&out, i + 1 < r->len ? TEXT(", ") : TEXT(" or "));
        text_out_add(&out, text_of(r->fields[i].name));
    }
}

static bool read_key(struct reading *r, struct text name)
{
    for (r->at = 0; r->at < r->len; r->at++) {
        if (!text_equal(name, text_of(r->fields[r->at].name)))
            continue;
        if (r->seen & (1U << r->at)) {
            snprintf(r->why, API_WHY_MAX, "%s is there twice", r->fields[r->at].name);
            return false;
        }
        r->seen |= 1U << r->at;
        return true;
    }
    complain_unknown(r);
    return false;
}

static bool read_value(struct reading *r, enum json_kind kind, struct text value)
{
    const struct api_field *field = &r->fields[r->at];

    if (kind == JSON_NULL && field->may_be_null)
        return true;
    if (kind == field->kind && field->read(r->into, value))
        return true;
    snprintf(r->why, API_WHY_MAX, "wrong value for %s, expected %s", field->name, field->expected);
    return false;
}

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct reading *r = owner;

    if (depth > 0)
        return kind == JSON_KEY ? read_key(r, text) : read_value(r, kind, text);
    if (kind == JSON_OBJECT_BEGIN || kind == JSON_OBJECT_END)
        return true;
    snprintf(r->why, API_WHY_MAX, "the body is not a JSON object");
    return false;
}

enum status api_read_fields(struct text body, const struct api_field *fields, size_t len,
                            void *into, char why[API_WHY_MAX])
{
    struct reading r = {.fields = fields, .len = len, .into = into, .why = why};

    why[0] = '\0';
    if (json_parse(body, on_token, &r, NULL) == ST_OK)
        return ST_OK;
    if (!why[0])
        snprintf(why, API_WHY_MAX, "the body is not JSON");
    return ST_INVALID;
}

enum status api_read_count(struct text query, int most, int *out, char why[API_WHY_MAX])
{
    char buf[8];
    struct text value;
    uint64_t count;
    enum status st = route_query(query, TEXT("n"), buf, sizeof(buf), &value);

    if (st == ST_CLOSED)
        return ST_OK;
    if (st || text_to_u64(value, &count) || count < 1 || count > (uint64_t)most) {
        snprintf(why, API_WHY_MAX, "wrong value for n, expected a number from 1 to %d", most);
        return ST_INVALID;
    }
    *out = (int)count;
    return ST_OK;
}

/* --- out ---------------------------------------------------------------------------------------------------------------- */

bool api_answer_begin(struct admin_answer *out, struct text_out *text, size_t bytes)
{
    out->content_type = "application/json";
    out->body = malloc(bytes);
    if (!out->body) {
        out->status = 500;
        return false;
    }
    text_out_init(text, out->body, bytes);
    return true;
}

void api_answer_end(struct admin_answer *out, struct text_out *text)
{
    text_out_char(text, '\n');
    out->body_len = text->len;
    if (text->is_full) {
        out->status = 500;
        out->body_len = 0;
    }
}

void api_answer_error(struct admin_answer *out, int status, const char *why)
{
    struct text_out text;

    out->status = status;
    /* A character takes six bytes at the most. */
    if (!api_answer_begin(out, &text, 64 + (size_t)6 * API_WHY_MAX))
        return;
    text_out_add(&text, TEXT("{\"error\":"));
    api_add_string(&text, why);
    text_out_char(&text, '}');
    api_answer_end(out, &text);
}

void api_add_string(struct text_out *out, const char *value)
{
    if (value)
        json_out_string(out, text_of(value));
    else
        text_out_add(out, TEXT("null"));
}
