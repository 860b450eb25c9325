/* SPDX-License-Identifier: Apache-2.0 */
/* ladder.h - the mapping `shed` of a policy: who is refused when. */
#pragma once

#include "config/reader.h"

/* Reads it into a policy whose tiers have been read. */
MUST_CHECK enum status ladder_read(struct reader *r, const struct node *mapping,
                                   struct policy *policy);
