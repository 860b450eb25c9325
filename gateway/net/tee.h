/* SPDX-License-Identifier: Apache-2.0 */
/* tee.h - reads what one socket brings, and gives it to another one as well, without copying: the kernel hands on the pages
 * that hold it (splice(2), tee(2)).  An image is copied once so, to be looked at, instead of in and out.
 * Runs on: the loop's thread.  SIGPIPE must be ignored. */
#pragma once

#include "net/stream.h"

/* Two pipes, which are empty between two calls.  NULL: no memory, or this user may have no pipes of that size. */
struct tee *tee_new(void);
void tee_free(struct tee **tee);

/* Can it be done with these two?  Not with TLS, which has to see the bytes, nor with a stream in memory. */
bool tee_fits(const struct stream *from, const struct stream *to);

struct teed {
    size_t len;  /* bytes read */
    size_t sent; /* of these, the first: they are on their way to the other one */
};

/* As stream_read() of `from`, but what is left there is not told again: read on until ST_PENDING, or stream_want().  That
 * `to` is broken is found by whoever writes to it next. */
MUST_CHECK enum status tee_read(struct tee *tee, struct stream *from, struct stream *to, void *buf,
                                size_t size, struct teed *out);
