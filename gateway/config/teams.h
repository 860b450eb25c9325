/* SPDX-License-Identifier: Apache-2.0 */
/* teams.h - teams of a policy. */
#pragma once

#include "config/keys.h"

key_read_fn teams_read; /* into a struct policy */
