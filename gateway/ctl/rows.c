/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - answers of the API as rows. */
#include "ctl/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

struct reading {
    struct rows *rows; /* NULL: a member is looked for */
    const char *name;  /* of the array, or the member */
    bool is_name_next; /* the value to come is that of name */
    bool is_in_array;
    int column;   /* that the value to come is for; -1: none */
    char *member; /* found */
    bool is_short_of_memory;
};

static char *copy_of(struct reading *r, struct text t)
{
    char *copy = malloc(t.len + 1);

    if (!copy) {
        r->is_short_of_memory = true;
        return NULL;
    }
    if (t.len)
        memcpy(copy, t.ptr, t.len);
    copy[t.len] = '\0';
    return copy;
}

static struct text value_text(enum json_kind kind, struct text text)
{
    switch (kind) {
    case JSON_TRUE:
        return TEXT("yes");
    case JSON_FALSE:
        return TEXT("no");
    case JSON_NUMBER:
    case JSON_STRING:
        return text;
    default: /* null, and what holds others */
        return TEXT("");
    }
}

static bool begin_row(struct reading *r)
{
    struct rows *rows = r->rows;
    size_t cells = (size_t)(rows->len + 1) * (size_t)rows->columns_len;
    char **grown = realloc(rows->cells, cells * sizeof(*grown));

    if (!grown) {
        r->is_short_of_memory = true;
        return false;
    }
    rows->cells = grown;
    for (int i = 0; i < rows->columns_len; i++)
        grown[rows->len * rows->columns_len + i] = NULL;
    rows->len++;
    return true;
}

static int column_of(const struct rows *rows, struct text key)
{
    for (int i = 0; i < rows->columns_len; i++) {
        if (text_equal(key, text_of(rows->columns[i].key)))
            return i;
    }
    return -1;
}

static bool take_cell(struct reading *r, enum json_kind kind, struct text text)
{
    struct rows *rows = r->rows;
    char **cell = &rows->cells[(rows->len - 1) * rows->columns_len + r->column];

    free(*cell);
    *cell = copy_of(r, value_text(kind, text));
    r->column = -1;
    return *cell != NULL;
}

static bool take_in_array(struct reading *r, enum json_kind kind, struct text text, int depth)
{
    if (depth == 1)
        r->is_in_array = kind != JSON_ARRAY_END;
    if (depth == 2 && kind == JSON_OBJECT_BEGIN)
        return begin_row(r);
    if (depth != 3 || r->rows->len == 0)
        return true;
    if (kind == JSON_KEY)
        r->column = column_of(r->rows, text);
    else if (r->column >= 0)
        return take_cell(r, kind, text);
    return true;
}

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct reading *r = owner;

    if (depth == 0)
        return kind == JSON_OBJECT_BEGIN || kind == JSON_OBJECT_END;
    if (r->is_in_array)
        return take_in_array(r, kind, text, depth);
    if (depth > 1)
        return true;
    if (kind == JSON_KEY) {
        r->is_name_next = text_equal(text, text_of(r->name));
        return true;
    }
    if (!r->is_name_next)
        return true;
    r->is_name_next = false;
    if (r->rows) {
        r->is_in_array = kind == JSON_ARRAY_BEGIN;
        return r->is_in_array;
    }
    free(r->member);
    r->member = copy_of(r, value_text(kind, text));
    return r->member != NULL;
}

enum status rows_read(struct text json, const char *array, const struct column *columns,
                      int columns_len, struct rows *out)
{
    struct reading r = {.rows = out, .name = array, .column = -1};

    *out = (struct rows){.columns = columns, .columns_len = columns_len};
    enum status st = json_parse(json, on_token, &r, NULL);
    if (st)
        rows_free(out);
    return r.is_short_of_memory ? ST_NOMEM : st;
}

char *rows_member(struct text json, const char *name)
{
    struct reading r = {.name = name, .column = -1};
    enum status st = json_parse(json, on_token, &r, NULL);

    if (st || !r.member) {
        free(r.member);
        return strdup("");
    }
    return r.member;
}

const char *rows_cell(const struct rows *rows, int row, int column)
{
    const char *cell = rows->cells[row * rows->columns_len + column];

    return cell ? cell : "";
}

static void print_line(const struct rows *rows, const int *widths, int row, FILE *file)
{
    for (int i = 0; i < rows->columns_len; i++) {
        const char *cell = row < 0 ? rows->columns[i].title : rows_cell(rows, row, i);
        bool is_last = i + 1 == rows->columns_len;

        if (rows->columns[i].is_number)
            fprintf(file, "%*s", widths[i], cell);
        else
            fprintf(file, "%-*s", is_last ? 0 : widths[i], cell);
        fputs(is_last ? "\n" : "  ", file);
    }
}

void rows_print(const struct rows *rows, FILE *file)
{
    int widths[ROWS_COLUMNS_MAX];

    ASSERT(rows->columns_len <= ROWS_COLUMNS_MAX);
    for (int i = 0; i < rows->columns_len; i++) {
        widths[i] = (int)strlen(rows->columns[i].title);
        for (int row = 0; row < rows->len; row++)
            widths[i] = MAX(widths[i], (int)strlen(rows_cell(rows, row, i)));
    }
    for (int row = -1; row < rows->len; row++)
        print_line(rows, widths, row, file);
}

void rows_free(struct rows *rows)
{
    for (int i = 0; i < rows->len * rows->columns_len; i++)
        free(rows->cells[i]);
    free(rows->cells);
    rows->cells = NULL;
    rows->len = 0;
}
