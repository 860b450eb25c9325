/* SPDX-License-Identifier: Apache-2.0 */
/* keyfile.h - a file of keys on disk: read whole, changed in one step.
 *
 * A change is written to a new file beside it, synced, and renamed over it, so that a gateway that reads it at any moment
 * finds the old file or the new one.  Mode and owner are kept where that is allowed.  Two who change it at once take turns
 * (flock). */
#pragma once

#include "ctl/key_text.h"

struct keyfile {
    int fd;     /* owned; locked */
    char *path; /* owned; without symbolic links */
    char *text; /* owned */
    size_t len;
};

/* is_for_change: it is locked, and made where it does not exist.  ST_OK, or ST_UNAVAILABLE or ST_NOMEM with why. */
MUST_CHECK enum status keyfile_open(const char *path, bool is_for_change, struct keyfile *out,
                                    char why[KEY_WHY_MAX]);
/* Puts this text in its place.  ST_OK, or ST_UNAVAILABLE with why: then nothing has changed. */
MUST_CHECK enum status keyfile_replace(struct keyfile *file, const char *text,
                                       char why[KEY_WHY_MAX]);
void keyfile_close(struct keyfile *file);
