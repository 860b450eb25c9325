/* SPDX-License-Identifier: Apache-2.0 */
/* pick.h - which backend: eligible, coolest, least loaded. */
#pragma once

#include "core/governor.h"

/* Eligible: up, serving, open to the tier, with a free slot, and not in the tried set (bit i: backend i mod 64).
 * Among them the cooler by bands of 4 degrees, counted from the coolest of them (a missing temperature counts as halfway
 * between the coolest and the hottest known), then the smaller share of slots taken, then the cooler, then the first from
 * rotation (modulo the number of backends) on, which spreads equals.  -1: none.
 * ladder: NULL judges none, as for OPERATION_PASS. */
int pick_backend(const struct load_view *view, const struct ladder *ladder, int tier,
                 uint64_t tried, uint32_t rotation);
