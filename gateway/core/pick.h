/* SPDX-License-Identifier: Apache-2.0 */
/* pick.h - which backend: eligible, coolest, least loaded. */
#pragma once

#include "core/governor.h"

/* Eligible: up, serving, open to the tier, with a free slot, and not in the tried set (bit i: backend i mod 64).
 * Among them the cooler by bands of 4 degrees (a missing temperature counts as the middle of those known), then the
 * smaller share of slots taken, then the cooler, then the next after *rotation*, which spreads equals.  -1: none. */
int pick_backend(const struct load_view *view, const struct ladder *ladder, int tier,
                 uint64_t tried, uint32_t rotation);
