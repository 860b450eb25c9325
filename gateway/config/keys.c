/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - mappings by table.      Runs on: control thread. */
#include "config/keys.h"

#include "config/value.h"

/* --- what is said --- */

#define NAME_MAX_LEN 32
/* More names than any table has. */
#define NAMES_MAX 64

static const char *kind_word(enum node_kind kind)
{
    switch (kind) {
    case NODE_SCALAR:
        return "a single value";
    case NODE_LIST:
        return "a list";
    case NODE_MAPPING:
        return "a mapping";
    case NODE_NONE:
        break;
    }
    return "nothing";
}

static int least(int a, int b, int c)
{
    int lesser = MIN(a, b);

    return MIN(lesser, c);
}

/* Levenshtein's distance; more than 2 where one is long. */
static int distance(struct text a, struct text b)
{
    int row[NAME_MAX_LEN + 1];

    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (int j = 0; j <= (int)b.len; j++)
        row[j] = j;
    for (int i = 1; i <= (int)a.len; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= (int)b.len; j++) {
            int change = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            row[j] = least(change, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[b.len];
}

/* The name that was probably meant, or NULL. */
static const struct text *nearest(struct text word, const struct text *names, int names_len)
{
    const struct text *best = NULL;
    int best_distance = word.len > 3 ? 3 : 2;

    for (int i = 0; i < names_len; i++) {
        int d = distance(word, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = &names[i];
        }
    }
    return best;
}

enum status key_unknown(struct reader *r, const struct node *key, const struct text *names,
                        int names_len)
{
    char echo[READER_ECHO_MAX];
    const struct text *meant = nearest(key->text, names, names_len);

    /* Longer than any key here: perhaps a secret that went astray. */
    if (key->text.len > NAME_MAX_LEN)
        return reader_fail(r, key, "unknown key, expected '%.*s' or another short word",
                           TEXT_ARG(names[0]));
    reader_echo(key, echo);
    if (meant)
        return reader_fail(r, key, "unknown key '%s', expected '%.*s' perhaps", echo,
                           TEXT_ARG(*meant));
    char list[CONFIG_ERROR_MAX];
    struct text_out out;
    text_out_init(&out, list, sizeof(list));
    for (int i = 0; i < names_len; i++)
        text_out_printf(&out, "%s%.*s", i == 0 ? "" : ", ", TEXT_ARG(names[i]));
    return reader_fail(r, key, "unknown key '%s', expected one of: %s", echo, list);
}

enum status key_wrong(struct reader *r, const struct node *node, const char *name,
                      const char *expected, bool is_secret)
{
    char echo[READER_ECHO_MAX];

    if (node->kind != NODE_SCALAR)
        return reader_fail(r, node, "%s for '%s', expected %s", kind_word(node->kind), name,
                           expected);
    if (node->text.len == 0)
        return reader_fail(r, node, "no value for '%s', expected %s", name, expected);
    if (is_secret)
        return reader_fail(r, node, "wrong value for '%s', expected %s", name, expected);
    return reader_fail(r, node, "wrong value '%s' for '%s', expected %s", reader_echo(node, echo),
                       name, expected);
}

/* --- tables --- */

const struct key *key_find(const struct key *rows, int rows_len, struct text name)
{
    for (int i = 0; i < rows_len; i++)
        if (text_equal(text_of(rows[i].name), name))
            return &rows[i];
    return NULL;
}

static enum status check_known(struct reader *r, const struct node *mapping, const struct key *rows,
                               int rows_len)
{
    struct text names[NAMES_MAX];

    ASSERT(rows_len > 0 && rows_len <= NAMES_MAX);
    for (int i = 0; i < rows_len; i++)
        names[i] = text_of(rows[i].name);
    for (const struct node *value = mapping->first; value; value = value->next)
        if (!key_find(rows, rows_len, value->key->text))
            return key_unknown(r, value->key, names, rows_len);
    return ST_OK;
}

static enum status read_row(struct reader *r, const struct node *mapping, const struct key *row,
                            void *object)
{
    const struct node *value = node_find(mapping, text_of(row->name));

    if (!value) {
        if (row->flags & KEY_REQUIRED)
            return reader_fail(r, mapping, "no key '%s' here, expected %s", row->name,
                               row->expected);
        return ST_OK;
    }
    enum status st = ST_INVALID;
    if (row->kind == NODE_NONE || row->kind == value->kind)
        st = row->read(r, row, value, object);
    if (st == ST_INVALID && r->error[0] == '\0')
        return key_wrong(r, value, row->name, row->expected, row->flags & KEY_SECRET);
    return st;
}

enum status keys_read_known(struct reader *r, const struct node *mapping, const struct key *rows,
                            int rows_len, void *object)
{
    for (int i = 0; i < rows_len; i++) {
        enum status st = read_row(r, mapping, &rows[i], object);
        if (st)
            return st;
    }
    return ST_OK;
}

enum status keys_read(struct reader *r, const struct node *mapping, const struct key *rows,
                      int rows_len, void *object)
{
    if (mapping->kind != NODE_MAPPING)
        return reader_fail(r, mapping, "%s, expected a mapping with the key '%s'",
                           kind_word(mapping->kind), rows[0].name);
    enum status st = check_known(r, mapping, rows, rows_len);
    return st ? st : keys_read_known(r, mapping, rows, rows_len, object);
}

/* --- plain fields --- */

/* A number of that form, within the row's bounds. */
static enum status read_number(enum status (*read)(struct text t, int64_t *out),
                               const struct key *key, const struct node *node, int64_t *out)
{
    int64_t value;

    if (read(node->text, &value) || value < key->low || value > key->high)
        return ST_INVALID;
    *out = value;
    return ST_OK;
}

enum status key_int64(struct reader *r, const struct key *key, const struct node *node,
                      void *object)
{
    UNUSED(r);
    return read_number(value_integer, key, node, key_field(key, object));
}

enum status key_int(struct reader *r, const struct key *key, const struct node *node, void *object)
{
    int64_t value;

    UNUSED(r);
    if (read_number(value_integer, key, node, &value))
        return ST_INVALID;
    *(int *)key_field(key, object) = (int)value;
    return ST_OK;
}

enum status key_duration_ms(struct reader *r, const struct key *key, const struct node *node,
                            void *object)
{
    UNUSED(r);
    return read_number(value_duration_ms, key, node, key_field(key, object));
}

enum status key_thousandths(struct reader *r, const struct key *key, const struct node *node,
                            void *object)
{
    UNUSED(r);
    return read_number(value_thousandths, key, node, key_field(key, object));
}

enum status key_bool(struct reader *r, const struct key *key, const struct node *node, void *object)
{
    bool is_true = text_equal(node->text, TEXT("true"));

    UNUSED(r);
    if (!is_true && !text_equal(node->text, TEXT("false")))
        return ST_INVALID;
    *(bool *)key_field(key, object) = is_true;
    return ST_OK;
}

static enum status keep(struct reader *r, const struct key *key, const struct node *node,
                        void *object)
{
    const char *text = memory_text(r->memory, node->text);

    if (!text)
        return reader_no_memory(r);
    *(const char **)key_field(key, object) = text;
    return ST_OK;
}

enum status key_name(struct reader *r, const struct key *key, const struct node *node, void *object)
{
    if (!value_is_name(node->text, (size_t)key->high))
        return ST_INVALID;
    return keep(r, key, node, object);
}

enum status key_token(struct reader *r, const struct key *key, const struct node *node,
                      void *object)
{
    if (!value_is_token(node->text))
        return ST_INVALID;
    return keep(r, key, node, object);
}
