/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - see place.h. */

#include "redis/place.h"

#include <string.h>

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == ':' || c == '%';
}

enum status redis_place_make(struct text host, int64_t port, struct redis_place *out)
{
    struct text_out at;
    bool is_v6 = host.len > 0 && memchr(host.ptr, ':', host.len);

    if (host.len == 0 || port < 1 || port > 65535)
        return ST_INVALID;
    for (size_t i = 0; i < host.len; i++)
        if (!is_host_char(host.ptr[i]))
            return ST_INVALID;

    struct redis_place made;

    text_out_init(&at, made.at, sizeof(made.at));
    text_out_printf(&at, is_v6 ? "[%.*s]:%d" : "%.*s:%d", TEXT_ARG(host), (int)port);
    if (at.is_full)
        return ST_INVALID;
    *out = made;
    return ST_OK;
}

void redis_place_make_unix(const char *path, struct redis_place *out)
{
    struct text_out at;

    text_out_init(&at, out->at, sizeof(out->at));
    text_out_printf(&at, "unix:%s", path);
}

bool redis_place_is_known(const struct redis_place *place)
{
    return place->at[0] != '\0';
}

bool redis_place_is_same(const struct redis_place *a, const struct redis_place *b)
{
    return strcmp(a->at, b->at) == 0;
}

struct text redis_place_host(const struct redis_place *place)
{
    const char *colon = strrchr(place->at, ':');
    struct text host = {place->at, colon ? (size_t)(colon - place->at) : strlen(place->at)};

    if (host.len >= 2 && host.ptr[0] == '[')
        return (struct text){host.ptr + 1, host.len - 2};
    return host;
}
