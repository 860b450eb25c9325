/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - the addresses of the gateway itself: `listen` and `admin`. */
#pragma once

#include "config/keys.h"

key_read_fn listen_read;
/* Comes after listen_read: no address is taken twice. */
key_read_fn listen_read_admin;

bool listen_is_same(const struct address *a, const struct address *b);
