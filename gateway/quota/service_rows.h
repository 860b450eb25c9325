/* SPDX-License-Identifier: Apache-2.0 */
/* service_rows.h - what is leased of the service's limits, in a file beside the embedded database.  One thread's.
 *
 * The file is two pages; each change is written to the older one and synced, so the newer one is always whole.  Gateways
 * that die leave what they had leased to the end of its window, so it is enough to keep sums. */
#pragma once

#include "quota/quota.h"

struct service_rows;

/* FOLDER/service.  ST_OK; ST_INVALID: it was made by another version, or is damaged; ST_UNAVAILABLE: it cannot be used.
 * error then says which and why. */
MUST_CHECK enum status service_rows_open(const char *folder, struct text_out *error,
                                         struct service_rows **out);
void service_rows_close(struct service_rows **rows);

/* Tells the claim; it counts once service_rows_write() has succeeded.  ST_UNAVAILABLE: its window is over. */
MUST_CHECK enum status service_rows_claim(struct service_rows *rows, struct quota_claim *claim,
                                          int64_t now_s);
/* Makes what was claimed since the last call durable.  ST_UNAVAILABLE: none of it was done. */
MUST_CHECK enum status service_rows_write(struct service_rows *rows);
