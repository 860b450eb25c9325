/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - paths to routes.      Runs on: control thread.  Pure. */
#include "admin/route.h"

/* Decodes %XX (RFC 3986 2.1).  ST_OK or ST_INVALID: a bad escape, a NUL, or too long. */
static enum status decode(struct text encoded, char *buf, size_t size, struct text *out)
{
    size_t len = 0;

    for (size_t i = 0; i < encoded.len; i++) {
        char c = encoded.ptr[i];

        if (c == '%') {
            if (encoded.len - i < 3 || text_unhex((struct text){encoded.ptr + i + 1, 2}, &c, 1))
                return ST_INVALID;
            i += 2;
        }
        if (c == '\0' || len == size)
            return ST_INVALID;
        buf[len++] = c;
    }
    *out = (struct text){buf, len};
    return ST_OK;
}

/* Cuts the next segment off; false: the path is used up. */
static bool next_segment(struct text *path, struct text *out)
{
    size_t len = 0;

    if (path->len == 0 || path->ptr[0] != '/')
        return false;
    while (len + 1 < path->len && path->ptr[len + 1] != '/')
        len++;
    *out = (struct text){path->ptr + 1, len};
    path->ptr += len + 1;
    path->len -= len + 1;
    return true;
}

/* *out_param is what stands for "*", still encoded. */
static bool fits(const char *pattern, struct text path, struct text *out_param)
{
    struct text rest = text_of(pattern);
    struct text expected, found;

    while (next_segment(&rest, &expected)) {
        if (!next_segment(&path, &found))
            return false;
        if (!text_equal(expected, TEXT("*"))) {
            if (!text_equal(expected, found))
                return false;
            continue;
        }
        if (found.len == 0)
            return false;
        *out_param = found;
    }
    return path.len == 0;
}

/* True when the search is over. */
static bool try_route(const struct admin_route *route, enum http_method method, struct text path,
                      struct admin_found *out)
{
    struct text param = TEXT_NONE;

    if (!fits(route->path, path, &param))
        return false;
    out->status = 405;
    out->methods |= 1U << route->method;
    if (route->method != method)
        return false;
    if (param.ptr && decode(param, out->buf, sizeof(out->buf), &out->param))
        out->status = 404;
    else
        out->route = route;
    return true;
}

void route_find(const struct admin_table *tables, int tables_len, enum http_method method,
                struct text path, struct admin_found *out)
{
    out->route = NULL;
    out->param = TEXT_NONE;
    out->status = 404;
    out->methods = 0;
    for (int i = 0; i < tables_len; i++) {
        out->owner = tables[i].owner;
        for (const struct admin_route *route = tables[i].routes; route->path; route++) {
            if (try_route(route, method, path, out))
                return;
        }
    }
}

enum status route_query(struct text query, struct text name, char *buf, size_t size,
                        struct text *out)
{
    enum status st = ST_CLOSED;
    struct text pair;

    while (text_next(&query, '&', &pair)) {
        struct text value = pair;
        struct text key;

        if (!text_next(&value, '=', &key) || !text_equal(key, name))
            continue;
        if (st != ST_CLOSED)
            return ST_INVALID;
        if (pair.len == key.len)
            return ST_INVALID;
        st = decode((struct text){pair.ptr + key.len + 1, pair.len - key.len - 1}, buf, size, out);
        if (st)
            return st;
    }
    return st;
}
