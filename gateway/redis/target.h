/* SPDX-License-Identifier: Apache-2.0 */
/* target.h - what all links of a store have in common: how Redis is run, where to ask for it first, and how to log
 * in.  Made at start-up, never changed; outlives the links. */
#pragma once

#include "config/config.h"
#include "net/tls.h"
#include "redis/place.h"
#include "redis/scripts.h"

struct redis_target {
    struct redis_scripts scripts; /* set by the owner after redis_target_init() */
    enum store_topology topology;
    bool is_sentinel; /* these are the sentinels themselves */
    bool is_keystore; /* it is not quotas that are kept there: for the log */
    int places_len;
    struct redis_place places[STORE_HOSTS_MAX];
    char *master;    /* owned, as all here; NULL: none */
    char *user;      /* NULL: none */
    char *password;  /* NULL: none */
    struct tls *tls; /* NULL: without */
    int db;
    int wait_replicas; /* a charge must have reached so many */
    int64_t
        timeout_us; /* from a call to its reply; and so long a caller waits for a link that is not up */
    int64_t connect_us; /* for one attempt to connect and greet */
};

/* The Redis of that URL, with the configuration's options quota.*.  ST_OK; else the reason is in error: no host's name is
 * known now, or the files of TLS cannot be used. */
MUST_CHECK enum status redis_target_init(struct redis_target *target, const struct store_url *url,
                                         const struct config *config, struct text_out *error);
void redis_target_fini(struct redis_target *target);
/* The same for talking with the sentinels; shares what target owns. */
struct redis_target redis_target_of_sentinels(const struct redis_target *target);
