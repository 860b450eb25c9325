/* SPDX-License-Identifier: Apache-2.0 */
/* body.h - the whole body of a request: in memory up to a bound, then in an unlinked file. */
#pragma once

#include "base/status.h"
#include "base/text.h"

struct body {
    char *memory; /* owned; NULL once spooled, or empty */
    size_t memory_size;
    int fd;       /* owned; -1: not spooled */
    void *mapped; /* owned */
    size_t len;
    size_t limit_bytes;
    size_t spool_bytes;
    const char *spool_dir; /* outlives the body */
};

void body_init(struct body *body, size_t limit_bytes, size_t spool_bytes, const char *spool_dir);
/* ST_OK; ST_LIMIT: over limit_bytes; ST_NOMEM; ST_UNAVAILABLE: the spool file cannot be written. */
MUST_CHECK enum status body_append(struct body *body, struct text bytes);
/* Makes room for what Content-Length announces, as far as it will stay in memory. */
MUST_CHECK enum status body_expect(struct body *body, int64_t content_length);
/* All of it, contiguous (a spooled body is mapped).  ST_OK or ST_NOMEM. */
MUST_CHECK enum status body_text(struct body *body, struct text *out);
void body_free(struct body *body); /* back to what body_init made, without memory */
