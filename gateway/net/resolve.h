/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h - host names to addresses, by the C library's resolver, which blocks. */
#pragma once

#include "base/address.h"
#include "net/loop.h"

/* "localhost:80", "gpu7.example:9001" or anything that address_parse takes.  The first IPv4 answer is taken, else the
 * first: many servers that are told to listen on localhost listen on 127.0.0.1 alone.
 * ST_OK, ST_INVALID (no port, bad port) or ST_UNAVAILABLE (the name is not known now).  Start-up and the control thread
 * only, since it waits. */
MUST_CHECK enum status resolve_host_port(struct text host_port, struct address *out);
/* The same for a loop that must not wait: a short-lived thread asks.  ST_OK at once for an address, else ST_PENDING, or the
 * errors above.  *out is written before the op is done with ST_OK. */
MUST_CHECK enum status resolve_start(struct loop *loop, struct text host_port, struct address *out,
                                     struct op *op);
