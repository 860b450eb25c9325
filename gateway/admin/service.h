/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - how the limits of the whole service stand, in JSON.  Runs on: control thread.
 *
 *   GET /v1/quota/service   {"limits": [{"name", "limit", "leased", "here", "in_hand", "resets", "is_dry_run"}]}
 *
 * leased: by all gateways in the present window, used or not; here: by this one, of which in_hand is not used.  All are
 * images or credits, as the name says.  503: the quota store is down. */
#pragma once

#include "admin/route.h"
#include "base/shared.h"
#include "gate/gate.h"

struct service_terms {
    struct quota *quota;   /* a door of this thread's own */
    struct config *config; /* lent until the next service_configure() */
    int gates_len;
    struct gate *gates[WORKERS_MAX];
};

struct service;

/* The owner of these routes is the struct service. */
extern const struct admin_route service_routes[];

MUST_CHECK enum status service_open(const struct service_terms *terms, struct service **out);
void service_configure(struct service *service, struct config *config);
/* No ask may be pending: the admin was closed before. */
void service_close(struct service **service);
