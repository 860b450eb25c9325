/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h - host names to addresses.  Blocks in getaddrinfo: start-up and the control thread only. */
#pragma once

#include "base/address.h"

/* "localhost:80", "gpu7.example:9001" or anything that address_parse takes.  The first IPv4 answer is taken, else the
 * first: many servers that are told to listen on localhost listen on 127.0.0.1 alone.
 * ST_OK, ST_INVALID (no port, bad port) or ST_UNAVAILABLE (the name is not known now). */
MUST_CHECK enum status resolve_host_port(struct text host_port, struct address *out);
