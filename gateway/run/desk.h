/* SPDX-License-Identifier: Apache-2.0 */
/* desk.h - where operators are served: the admin listeners, the API behind them, and who used most.
 * Runs on: control thread, but for desk_charged(). */
#pragma once

#include "admin/admin.h"
#include "identity/keystore.h"
#include "quota/quota.h"

struct worker;

struct desk_terms {
    struct loop *loop;
    struct config *config; /* lent until the next desk_configure() */
    struct quota_store *store;
    struct keystore *keystore; /* NULL: none */
    struct worker *workers;    /* open, not started */
    int workers_len;
    struct admin_table own; /* what the control thread itself answers */
};

struct desk;

/* Listens where the configuration says, perhaps nowhere. */
MUST_CHECK enum status desk_open(const struct desk_terms *terms, struct desk **out);
void desk_configure(struct desk *desk, struct config *config, struct keystore *keystore);
/* A worker's account was charged so many images, or was seen (0).  Runs on: that worker. */
void desk_charged(void *desk, int worker, const struct account *account, int generation,
                  int64_t images, int64_t day);
/* Before the workers are joined: nobody is served any more. */
void desk_close(struct desk *desk);
/* After they are freed. */
void desk_free(struct desk **desk);
