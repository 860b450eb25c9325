/* SPDX-License-Identifier: Apache-2.0 */
/* admin.h - the operator's listeners: an address, a Unix socket, or both.  Runs on: control thread.
 * They speak plain HTTP/1.1, one request a connection, and are meant for a trusted network; see route.h for who may ask
 * what.  A visitor that leaves cancels what it asked for. */
#pragma once

#include "admin/route.h"
#include "net/listener.h"

#define ADMIN_PLACES_MAX 2
#define ADMIN_TABLES_MAX 4

struct admin_terms {
    struct loop *loop;
    int places_len;
    const struct address *places[ADMIN_PLACES_MAX]; /* a Unix socket is made with mode 0660 */
    int tables_len;
    struct admin_table tables[ADMIN_TABLES_MAX];
    const char *token; /* NULL: none; lent until the next admin_set_token() */
};

struct admin;

MUST_CHECK enum status admin_open(const struct admin_terms *terms, struct admin **out);
/* Of the place of that number, with the port that port 0 became. */
const struct address *admin_address(const struct admin *admin, int place);
void admin_set_token(struct admin *admin, const char *token);
void admin_close(struct admin **admin);
