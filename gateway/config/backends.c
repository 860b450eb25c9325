/* SPDX-License-Identifier: Apache-2.0 */
/* backends.c - backends and their telemetry.      Runs on: control thread. */
#include "config/backends.h"

#include <string.h>

#include "config/url.h"
#include "config/value.h"

#define BACKEND_NAME_MAX 64

/* A backend's own URL is a prefix: a query could not be put before a request's path. */
static struct text cut_slashes(struct text url)
{
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    return url;
}

static enum status read_url(struct reader *r, const struct node *node, struct text url,
                            struct http_url *out)
{
    const char *why = NULL;
    enum status st = url_http(url, r->memory, &why, out);

    if (st == ST_NOMEM)
        return reader_no_memory(r);
    return st ? reader_fail(r, node, "%s", why) : ST_OK;
}

/* --- telemetry --- */

static enum status read_prometheus(struct reader *r, const struct key *key, const struct node *node,
                                   void *object)
{
    struct telemetry_conf *telemetry = object;

    UNUSED(key);
    telemetry->kind = TELEMETRY_PROMETHEUS;
    enum status st = read_url(r, node, node->text, &telemetry->url);
    if (!st && telemetry->url.path[0] == '\0')
        telemetry->url.path = "/metrics";
    return st;
}

static const struct key telemetry_keys[] = {
    {"prometheus", NODE_SCALAR, KEY_REQUIRED | KEY_SECRET, read_prometheus, 0, 0, 0,
     "an http:// URL to scrape"},
    {"interval", NODE_SCALAR, 0, key_duration_ms, offsetof(struct telemetry_conf, interval_ms), 50,
     3600000, "a duration such as 500ms or 1s, 50ms to 1h"},
};

/* What a backend's table reads into. */
struct reading {
    struct backend_conf made;
    const struct config *config;
};

static enum status read_telemetry(struct reader *r, const struct key *key, const struct node *list,
                                  void *object)
{
    struct reading *backend = object;

    UNUSED(key);
    if (list->len > TELEMETRY_MAX)
        return reader_fail(r, list, "%d telemetry sources, expected at most %d", list->len,
                           TELEMETRY_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        struct telemetry_conf *telemetry = &backend->made.telemetry[backend->made.telemetry_len++];
        telemetry->interval_ms = 1000;
        enum status st = keys_read(r, item, telemetry_keys, ARRAY_LEN(telemetry_keys), telemetry);
        if (st)
            return st;
        if (telemetry->interval_ms >= backend->config->stale_after_ms)
            return reader_fail(r, item,
                               "readings would be stale before the next one comes, expected an "
                               "interval under telemetry.stale_after (%lld ms)",
                               (long long)backend->config->stale_after_ms);
    }
    return ST_OK;
}

/* --- backends --- */

static enum status read_backend_url(struct reader *r, const struct key *key,
                                    const struct node *node, void *object)
{
    struct reading *backend = object;

    UNUSED(key);
    enum status st = read_url(r, node, cut_slashes(node->text), &backend->made.url);
    if (!st && strchr(backend->made.url.path, '?'))
        return reader_fail(r, node,
                           "a query in a backend's URL, expected http://host[:port][/path]");
    return st;
}

static enum status read_dialect(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct reading *backend = object;
    char list[CONFIG_ERROR_MAX];
    struct text_out out;

    text_out_init(&out, list, sizeof(list));
    for (const char *const *name = r->known->dialects; *name; name++) {
        if (text_equal(text_of(*name), node->text)) {
            backend->made.dialect = *name;
            return ST_OK;
        }
        text_out_printf(&out, "%s%s", out.len > 0 ? ", " : "one of: ", *name);
    }
    return key_wrong(r, node, key->name, list, false);
}

static enum status read_probe(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    struct reading *backend = object;

    UNUSED(key);
    if (!value_is_visible(node->text) || node->text.ptr[0] != '/')
        return ST_INVALID;
    backend->made.probe_path = memory_text(r->memory, node->text);
    return backend->made.probe_path ? ST_OK : reader_no_memory(r);
}

static const struct key backend_keys[] = {
    {"name", NODE_SCALAR, KEY_REQUIRED, key_name, offsetof(struct reading, made.name), 1,
     BACKEND_NAME_MAX, "a name: 1 to 64 letters, digits, '_', '-', '.'"},
    {"url", NODE_SCALAR, KEY_REQUIRED | KEY_SECRET, read_backend_url, 0, 0, 0,
     "http://host[:port][/path]"},
    {"dialect", NODE_SCALAR, KEY_REQUIRED, read_dialect, 0, 0, 0,
     "what the backend speaks, such as openai"},
    {"max_in_flight", NODE_SCALAR, 0, key_int, offsetof(struct reading, made.max_in_flight), 1,
     10000, "a whole number, 1 to 10000"},
    {"probe", NODE_SCALAR, 0, read_probe, 0, 0, 0, "a path such as /health"},
    {"telemetry", NODE_LIST, 0, read_telemetry, 0, 0, 0,
     "a list of {prometheus: http://host:port/metrics, interval: 1s}"},
};

static enum status check_name(struct reader *r, const struct node *item,
                              const struct config *config, const char *name)
{
    for (int i = 0; i < config->backends_len; i++)
        if (strcmp(config->backends[i].name, name) == 0)
            return reader_fail(r, item, "a second backend '%s', expected a name of its own", name);
    return ST_OK;
}

static enum status read_backend(struct reader *r, const struct node *item, struct config *config)
{
    struct reading backend = {.made = {.max_in_flight = 1}, .config = config};
    enum status st = keys_read(r, item, backend_keys, ARRAY_LEN(backend_keys), &backend);

    if (!st)
        st = check_name(r, item, config, backend.made.name);
    if (!st)
        config->backends[config->backends_len++] = backend.made;
    return st;
}

enum status backends_read(struct reader *r, const struct key *key, const struct node *list,
                          void *object)
{
    struct config *config = object;

    UNUSED(key);
    if (list->len < 1 || list->len > BACKENDS_MAX)
        return reader_fail(r, list, "%d backends, expected 1 to %d", list->len, BACKENDS_MAX);
    config->backends = memory_take(r->memory, (size_t)list->len * sizeof(*config->backends));
    if (!config->backends)
        return reader_no_memory(r);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_backend(r, item, config);
        if (st)
            return st;
    }
    return ST_OK;
}
