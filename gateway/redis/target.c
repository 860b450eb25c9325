/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - see target.h.      Runs on: start-up. */

#include "redis/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/resolve.h"

#define TIMEOUT_US INT64_C(50000)
/* A handshake over TLS, or a busy network, may take longer than a caller is made to wait. */
#define CONNECT_US          INT64_C(1000000)
#define SENTINEL_CONNECT_US INT64_C(250000)

static enum status place_hosts(struct redis_target *target, const struct store_url *url,
                               struct text_out *error)
{
    if (url->path) {
        redis_place_make_unix(url->path, &target->places[target->places_len++]);
        return ST_OK;
    }
    for (int i = 0; i < url->hosts_len; i++) {
        const struct store_host *host = &url->hosts[i];

        if (redis_place_make(text_of(host->name), host->port, &target->places[i])) {
            text_out_printf(error, "%s is no host", host->name);
            return ST_INVALID;
        }
        target->places_len++;
    }
    return ST_OK;
}

/* At least one must be found now: all being unknown is a slip of the pen more often than trouble with DNS. */
static enum status check_places(const struct redis_target *target, struct text_out *error)
{
    struct address address;
    enum status st = ST_INVALID;

    for (int i = 0; i < target->places_len; i++) {
        st = resolve_host_port(text_of(target->places[i].at), &address);
        if (!st)
            return ST_OK;
    }
    if (st == ST_INVALID)
        text_out_printf(error, "%s is no address", target->places[0].at);
    else
        text_out_printf(error, "the name in %s is not known", target->places[0].at);
    return st;
}

/* NULL for NULL, and where there is no memory. */
static char *copy(const char *t)
{
    return t ? strdup(t) : NULL;
}

static enum status open_tls(struct redis_target *target, const struct store_url *url,
                            const struct config *config, struct text_out *error)
{
    struct tls_files files = {config->tls_ca, config->tls_cert, config->tls_key};

    return url->is_tls ? tls_new(&files, error, &target->tls) : ST_OK;
}

enum status redis_target_init(struct redis_target *target, const struct store_url *url,
                              const struct config *config, struct text_out *error)
{
    enum status st;

    *target = (struct redis_target){.topology = url->topology, .db = url->db};
    target->wait_replicas = (int)config->wait_replicas;
    target->timeout_us = config->quota_timeout_ms ? config->quota_timeout_ms * 1000 : TIMEOUT_US;
    target->connect_us = MAX(CONNECT_US, target->timeout_us);
    st = place_hosts(target, url, error);
    if (!st)
        st = check_places(target, error);
    if (!st)
        st = open_tls(target, url, config, error);
    if (st)
        return st;
    target->master = copy(url->master);
    target->user = copy(url->user);
    target->password = copy(url->password);
    if ((url->master && !target->master) || (url->user && !target->user) ||
        (url->password && !target->password)) {
        redis_target_fini(target);
        return ST_NOMEM;
    }
    return ST_OK;
}

void redis_target_fini(struct redis_target *target)
{
    free(target->master);
    free(target->user);
    free(target->password);
    tls_free(&target->tls);
    target->master = target->user = target->password = NULL;
}

struct redis_target redis_target_of_sentinels(const struct redis_target *target)
{
    struct redis_target sentinels = *target;

    sentinels.is_sentinel = true;
    sentinels.connect_us = MAX(SENTINEL_CONNECT_US, target->timeout_us);
    return sentinels;
}
