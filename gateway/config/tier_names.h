/* SPDX-License-Identifier: Apache-2.0 */
/* tier_names.h - the registry behind tier.stats_index; reading it is in config.h. */
#pragma once

#include "config/config.h"

/* The index of that name, the same for ever; -1 when it is new and the registry is full. */
int tier_names_index(const char *name);
