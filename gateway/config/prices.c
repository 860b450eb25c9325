/* SPDX-License-Identifier: Apache-2.0 */
/* prices.c - sizes and prices.      Runs on: control thread. */
#include "config/prices.h"

#include <stdlib.h>
#include <string.h>

#include "config/value.h"

#define MODEL_MAX    128
#define PRICES_MAX   1024
#define SIDE_MAX     INT64_C(65536)
#define NAME_MAX_LEN 32
#define STEPS_MAX    INT64_C(1000000)
/* Ten images of this price stay far within what a row can count. */
#define CREDITS_MAX_UNITS INT64_C(100000000)

bool prices_is_model(struct text t)
{
    const char *star = t.len > 0 ? memchr(t.ptr, '*', t.len) : NULL;

    return t.len <= MODEL_MAX && value_is_visible(t) && (!star || star == t.ptr + t.len - 1);
}

/* --- sizes --- */

/* 512x512 */
static enum status parse_size(struct text t, int64_t *out)
{
    struct text rest = t;
    struct text first;
    int64_t width, height;

    if (!text_next(&rest, 'x', &first))
        return ST_INVALID;
    if (value_integer(first, &width) || value_integer(rest, &height))
        return ST_INVALID;
    if (width < 1 || width > SIDE_MAX || height < 1 || height > SIDE_MAX)
        return ST_INVALID;
    *out = width * height;
    return ST_OK;
}

static enum status read_size(struct reader *r, const struct node *node, struct price_list *list)
{
    char echo[READER_ECHO_MAX];
    struct size_class made = {.name = memory_text(r->memory, node->key->text)};

    if (!value_is_name(node->key->text, NAME_MAX_LEN))
        return reader_fail(r, node->key,
                           "wrong name '%s' for a size, expected 1 to %d letters, digits, '_', "
                           "'-', '.'",
                           reader_echo(node->key, echo), NAME_MAX_LEN);
    if (!made.name)
        return reader_no_memory(r);
    if (node->kind != NODE_SCALAR || parse_size(node->text, &made.pixels_max))
        return key_wrong(r, node, "sizes", "a width and height such as 1024x1024", false);
    int at = list->classes_len;
    for (; at > 0 && list->classes[at - 1].pixels_max >= made.pixels_max; at--) {
        if (list->classes[at - 1].pixels_max == made.pixels_max)
            return reader_fail(r, node, "as many pixels as '%s', expected another size",
                               list->classes[at - 1].name);
        list->classes[at] = list->classes[at - 1];
    }
    list->classes[at] = made;
    list->classes_len++;
    return ST_OK;
}

enum status sizes_read(struct reader *r, const struct key *key, const struct node *mapping,
                       void *object)
{
    struct policy *policy = object;

    UNUSED(key);
    if (mapping->len < 1 || mapping->len > SIZE_CLASSES_MAX)
        return reader_fail(r, mapping, "%d sizes, expected 1 to %d", mapping->len,
                           SIZE_CLASSES_MAX);
    for (const struct node *node = mapping->first; node; node = node->next) {
        enum status st = read_size(r, node, &policy->prices);
        if (st)
            return st;
    }
    return ST_OK;
}

/* --- prices --- */

/* What a row reads into. */
struct row {
    struct price made;
    const struct price_list *list;
};

static enum status read_model(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    struct row *row = object;

    UNUSED(key);
    if (!prices_is_model(node->text))
        return ST_INVALID;
    row->made.model = memory_text(r->memory, node->text);
    return row->made.model ? ST_OK : reader_no_memory(r);
}

static enum status read_price_size(struct reader *r, const struct key *key, const struct node *node,
                                   void *object)
{
    struct row *row = object;

    UNUSED(r);
    UNUSED(key);
    for (int i = 0; i < row->list->classes_len; i++) {
        if (!text_equal(text_of(row->list->classes[i].name), node->text))
            continue;
        row->made.size_class = i;
        return ST_OK;
    }
    return ST_INVALID;
}

static const struct key price_keys[] = {
    {"model", NODE_SCALAR, 0, read_model, 0, 0, 0, MODEL_EXPECTED},
    {"quality", NODE_SCALAR, 0, key_name, offsetof(struct row, made.quality), 0, NAME_MAX_LEN,
     "a word such as hd"},
    {"size", NODE_SCALAR, 0, read_price_size, 0, 0, 0, "the name of a size under 'sizes'"},
    {"max_steps", NODE_SCALAR, 0, key_int64, offsetof(struct row, made.steps_max), 1, STEPS_MAX,
     "a whole number of steps, 1 to 1000000"},
    {"credits", NODE_SCALAR, KEY_REQUIRED, key_thousandths, offsetof(struct row, made.units), 0,
     CREDITS_MAX_UNITS, "credits an image such as 1 or 0.25, 0 to 100000"},
};

static bool fits_all(const struct price *price)
{
    bool is_any_model = !price->model || strcmp(price->model, "*") == 0;

    return is_any_model && !price->quality && price->size_class < 0 && price->steps_max == 0;
}

enum status prices_read(struct reader *r, const struct key *key, const struct node *list,
                        void *object)
{
    struct policy *policy = object;
    const struct node *last = NULL; /* the row that fits all */

    UNUSED(key);
    if (list->len < 1 || list->len > PRICES_MAX)
        return reader_fail(r, list, "%d prices, expected 1 to %d", list->len, PRICES_MAX);
    struct price *rows = memory_take(r->memory, (size_t)list->len * sizeof(*rows));
    if (!rows)
        return reader_no_memory(r);
    for (const struct node *item = list->first; item; item = item->next) {
        struct row row = {.made = {.size_class = -1}, .list = &policy->prices};
        if (last)
            return reader_fail(r, item,
                               "a price that is never reached, expected the one of line %d, "
                               "which fits all, to be the last",
                               last->line);
        enum status st = keys_read(r, item, price_keys, ARRAY_LEN(price_keys), &row);
        if (st)
            return st;
        rows[policy->prices.len++] = row.made;
        if (fits_all(&row.made))
            last = item;
    }
    policy->prices.prices = rows;
    return ST_OK;
}
