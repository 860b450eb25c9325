/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h - folders on disk that a store keeps its files in. */
#pragma once

#include "base/text.h"

/* Makes the folder and those above it, as far as they are missing, for this user alone (0700).  ST_OK, or ST_UNAVAILABLE
 * with "cannot make /a/b: reason" in error. */
MUST_CHECK enum status folder_make(const char *path, struct text_out *error);
/* Locks PATH/lock until the descriptor is closed, or the process ends.  ST_REFUSED: another process has it. */
MUST_CHECK enum status folder_lock(const char *path, struct text_out *error, int *out_fd);
