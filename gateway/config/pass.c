/* SPDX-License-Identifier: Apache-2.0 */
/* pass.c - rules for safe paths.      Runs on: control thread. */
#include "config/pass.h"

#include <string.h>

#include "config/value.h"

/* No query, and no dots that lead elsewhere: a rule must not open more than it shows. */
static bool is_pass_path(struct text path)
{
    if (!value_is_visible(path) || path.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool is_last = i + 1 == path.len;
        if (c == '?' || c == '#' || (c == '*' && !is_last) ||
            (c == '.' && path.ptr[i - 1] == '/' && (is_last || strchr("./", path.ptr[i + 1]))))
            return false;
    }
    return true;
}

static enum status read_pass_rule(struct reader *r, const struct node *node, struct pass_rule *out)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    struct text path = node->text;
    struct text method;

    if (node->kind == NODE_SCALAR && text_next(&path, ' ', &method) && is_pass_path(path)) {
        for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
            if (!text_equal(method, text_of(methods[i])))
                continue;
            *out = (struct pass_rule){methods[i], memory_text(r->memory, path)};
            return out->path ? ST_OK : reader_no_memory(r);
        }
    }
    return key_wrong(r, node, "pass",
                     "GET, HEAD or OPTIONS and a path: \"GET /v1/models\" or \"GET /docs/*\"",
                     false);
}

enum status pass_read(struct reader *r, const struct key *key, const struct node *list,
                      void *object)
{
    struct config *config = object;

    UNUSED(key);
    if (list->len > PASS_MAX)
        return reader_fail(r, list, "%d rules, expected at most %d", list->len, PASS_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_pass_rule(r, item, &config->pass[config->pass_len]);
        if (st)
            return st;
        config->pass_len++;
    }
    return ST_OK;
}
