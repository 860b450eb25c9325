/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - the list of identity sources, and lists of networks. */
#pragma once

#include "config/keys.h"

/* Reads the list `identity` into a struct config whose policy has been read. */
key_read_fn identity_read;

/* Reads networks (10.0.0.0/8) into prefixes[TRUST_MAX]. */
MUST_CHECK enum status prefixes_read(struct reader *r, const struct node *list,
                                     struct address_prefix prefixes[TRUST_MAX], int *out_len);
