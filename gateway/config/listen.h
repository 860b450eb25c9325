/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - the addresses of the gateway itself: `listen` and `admin`. */
#pragma once

#include "config/keys.h"

key_read_fn listen_read;
key_read_fn listen_read_address; /* struct address */
/* Comes after listen_read: no address is taken twice. */
key_read_fn listen_read_admin;

/* Complains where the gateway listens there already. */
MUST_CHECK enum status listen_check_new(struct reader *r, const struct node *node,
                                        const struct config *config, const struct address *address);
bool listen_is_same(const struct address *a, const struct address *b);
