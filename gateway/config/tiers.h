/* SPDX-License-Identifier: Apache-2.0 */
/* tiers.h - tiers of a policy. */
#pragma once

#include "config/keys.h"

key_read_fn tiers_read; /* into a struct policy */
/* After the teams: no request may come under more limits than LIMITS_MAX.  mapping: the tiers. */
MUST_CHECK enum status tiers_check_limits(struct reader *r, const struct node *mapping,
                                          const struct policy *policy);
