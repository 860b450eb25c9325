/* SPDX-License-Identifier: Apache-2.0 */
/* who.h - from the id that an operator names to the account: its digest, tier and team.  Pure. */
#pragma once

#include "admin/api_ask.h"
#include "config/config.h"

/* Looked for among the accounts seen lately (of this generation), then in the keyfiles, then by what ids of the sources
 * bearer and address look like, then as the header source would take it.  A tier or team in the query comes first.
 * "bearer:" wants all 64 digits of the token's SHA-256 where the account was not seen lately.
 * ST_OK; ST_INVALID: the id or a name in the query is no such thing; ST_REFUSED: the tier is not known.  With why. */
MUST_CHECK enum status who_find(const struct config *config, const struct top_list *seen,
                                struct text id, const struct api_query *query, struct account *out,
                                char why[API_WHY_MAX]);
