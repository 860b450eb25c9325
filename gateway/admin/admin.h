/* SPDX-License-Identifier: Apache-2.0 */
/* admin.h - the operator's listener: /metrics, /healthz, /readyz.  Runs on: control thread.
 * It speaks plain HTTP/1.1, one request a connection, and is meant for a trusted network. */
#pragma once

#include "net/listener.h"

/* What a path answers with. */
struct admin_answer {
    int status;
    const char *content_type;
    char *body; /* owned: freed by admin */
    size_t body_len;
};

struct admin_route {
    const char *path;
    void (*answer)(void *owner, struct admin_answer *out);
};

struct admin;

/* routes end with a NULL path; they and owner outlive the admin. */
MUST_CHECK enum status admin_open(struct loop *loop, const struct address *at,
                                  const struct admin_route *routes, void *owner,
                                  struct admin **out);
const struct address *admin_address(const struct admin *admin);
void admin_close(struct admin **admin);
