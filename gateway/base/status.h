/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - how a call went.  Every call that may fail returns one of these and is MUST_CHECK. */
#pragma once

#include "base/base.h"

/*   status       word           when */
#define STATUS_TABLE(X)                                                                            \
    X(OK, "ok")                   /* done; output parameters are written */                        \
    X(PENDING, "pending")         /* not done yet; the op's done() will tell */                    \
    X(CLOSED, "closed")           /* the other side ended in an orderly way */                     \
    X(TIMEOUT, "timeout")         /* its time was over */                                          \
    X(REFUSED, "refused")         /* the other side said no */                                     \
    X(LIMIT, "limit")             /* a configured limit was met */                                 \
    X(INVALID, "invalid")         /* malformed input */                                            \
    X(UNAVAILABLE, "unavailable") /* it is down, or broke while at work */                         \
    X(NOMEM, "nomem")             /* no memory */

/* Zero is ST_OK, the one enum here whose zero is a real value: `if (st)` must read as "went wrong". */
enum status {
#define X(name, word) ST_##name,
    STATUS_TABLE(X)
#undef X
};

/* The lower-case word of a status, for logs and tests. */
const char *status_name(enum status st);

/* Maps an errno of a socket or file call: EAGAIN is PENDING, ECONNREFUSED is REFUSED, ETIMEDOUT is TIMEOUT, ENOMEM is
 * NOMEM, EPIPE and ECONNRESET are CLOSED, all else UNAVAILABLE. */
enum status status_from_errno(int error);
