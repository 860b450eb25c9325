/* SPDX-License-Identifier: Apache-2.0 */
/* restart.c - what a reload cannot change: lives of sockets, stores and backends are the process's.
 * Runs on: control thread. */
#include <string.h>

#include "config/config.h"
#include "config/listen.h"
#include "config/option.h"

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_listen(const struct config *from, const struct config *to)
{
    if (from->listen_len != to->listen_len)
        return false;
    for (int i = 0; i < from->listen_len; i++)
        if (!listen_is_same(&from->listen[i], &to->listen[i]))
            return false;
    return true;
}

static bool same_admin(const struct config *from, const struct config *to)
{
    if (from->has_admin != to->has_admin || from->has_admin_socket != to->has_admin_socket)
        return false;
    if (from->has_admin_socket && !listen_is_same(&from->admin_socket, &to->admin_socket))
        return false;
    return !from->has_admin || listen_is_same(&from->admin, &to->admin);
}

static bool same_hosts(const struct store_url *a, const struct store_url *b)
{
    if (a->hosts_len != b->hosts_len)
        return false;
    for (int i = 0; i < a->hosts_len; i++)
        if (!same_text(a->hosts[i].name, b->hosts[i].name) || a->hosts[i].port != b->hosts[i].port)
            return false;
    return true;
}

static bool same_store_url(const struct store_url *a, const struct store_url *b)
{
    return a->kind == b->kind && same_text(a->path, b->path) && a->topology == b->topology &&
           a->is_tls == b->is_tls && same_hosts(a, b) && same_text(a->master, b->master) &&
           same_text(a->user, b->user) && same_text(a->password, b->password) && a->db == b->db;
}

static bool same_store(const struct config *from, const struct config *to)
{
    return same_store_url(&from->store, &to->store);
}

/* One that is new is opened at once. */
static bool same_keystore(const struct config *from, const struct config *to)
{
    const struct keystore_conf *a = config_keystore(from);
    const struct keystore_conf *b = config_keystore(to);

    return !a || !b || same_store_url(&a->url, &b->url);
}

static bool same_url(const struct http_url *a, const struct http_url *b)
{
    return same_text(a->host_port, b->host_port) && same_text(a->path, b->path);
}

static bool same_telemetry(const struct backend_conf *a, const struct backend_conf *b)
{
    if (a->telemetry_len != b->telemetry_len)
        return false;
    for (int i = 0; i < a->telemetry_len; i++) {
        const struct telemetry_conf *left = &a->telemetry[i];
        const struct telemetry_conf *right = &b->telemetry[i];
        if (left->kind != right->kind || !same_url(&left->url, &right->url) ||
            left->interval_ms != right->interval_ms)
            return false;
    }
    return true;
}

static bool same_backends(const struct config *from, const struct config *to)
{
    if (from->backends_len != to->backends_len)
        return false;
    for (int i = 0; i < from->backends_len; i++) {
        const struct backend_conf *a = &from->backends[i];
        const struct backend_conf *b = &to->backends[i];
        if (!same_text(a->name, b->name) || !same_url(&a->url, &b->url) ||
            !same_text(a->dialect, b->dialect) || a->max_in_flight != b->max_in_flight ||
            !same_text(a->probe_path, b->probe_path) || !same_telemetry(a, b))
            return false;
    }
    return true;
}

static bool has_local(const struct config *config)
{
    for (int i = 0; i < config->policy.tiers_len; i++)
        if (config->policy.tiers[i].on_store_down == STORE_DOWN_LOCAL)
            return true;
    return false;
}

/* The store that it needs is opened at start. */
static bool same_local(const struct config *from, const struct config *to)
{
    return has_local(from) || !has_local(to);
}

void config_restart_changes(const struct config *from, const struct config *to,
                            struct text_out *out)
{
    static const struct part {
        const char *path;
        bool (*is_same)(const struct config *from, const struct config *to);
    } parts[] = {
        {"listen", same_listen},     {"admin", same_admin},
        {"quota_store", same_store}, {"identity.keystore", same_keystore},
        {"backends", same_backends}, {"on_store_down: local", same_local},
    };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!parts[i].is_same(from, to))
            text_out_printf(out, "%s%s", out->len > 0 ? ", " : "", parts[i].path);
    option_restart_changes(from, to, out);
}
