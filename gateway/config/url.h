/* SPDX-License-Identifier: Apache-2.0 */
/* url.h - URLs of backends, telemetry and quota stores (RFC 3986, as much of it as they need). */
#pragma once

#include "config/reader.h"

/* http://host[:port][/path[?query]]; the port is always written into host_port.  The path is as written.
 * ST_OK, ST_INVALID with *why (a literal: what is wrong, and what was expected) or ST_NOMEM. */
MUST_CHECK enum status url_http(struct text url, struct config_memory *memory, const char **why,
                                struct http_url *out);
/* embedded:///folder
 * redis://[[user]:password@]host[:port][/db]                         rediss:// is the same over TLS, as for all below
 * redis+unix://[[user]:password@]/path[?db=number]                   but this one
 * redis+sentinel://[[user]:password@]host[:port],.../master[/db]     user and password are the master's, and tried on
 *                                                                    the sentinels too
 * redis+cluster://[[user]:password@]host[:port],... */
MUST_CHECK enum status url_store(struct text url, struct config_memory *memory, const char **why,
                                 struct store_url *out);
