/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - a listening socket on one loop (SO_REUSEPORT: each worker has its own). */
#pragma once

#include "base/address.h"
#include "net/loop.h"

struct listener;

/* A connection was accepted: fd is non-blocking, close-on-exec, and the callee's; TCP_NODELAY is set.  May close the
 * listener. */
typedef void listener_accept_fn(void *owner, int fd, const struct address *from);

/* ST_OK or ST_UNAVAILABLE (logged with the reason).  An IPv6 address with all bits zero takes IPv4
 * connections too.  A Unix socket of that path is unlinked first, is not per worker, and stays behind.  Out of
 * descriptors (EMFILE), accepting pauses for 100 ms and is logged once a minute. */
MUST_CHECK enum status listener_open(struct loop *loop, const struct address *at,
                                     listener_accept_fn *accept, void *owner,
                                     struct listener **out);
/* ST_OK, or ST_UNAVAILABLE (logged) where another process listens there: SO_REUSEPORT would let this one share its port
 * unseen.  Asked once, before the first listener_open(). */
MUST_CHECK enum status listener_check_free(const struct address *at);
/* Held, it takes no connection: they wait in the kernel. */
void listener_hold(struct listener *listener, bool is_held);
/* The address bound, with the port that port 0 became. */
const struct address *listener_address(const struct listener *listener);
void listener_close(struct listener **listener);
