/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - words of a status, and errno into one. */
#include "base/status.h"

#include <errno.h>

const char *status_name(enum status st)
{
    switch (st) {
#define X(name, word)                                                                              \
    case ST_##name:                                                                                \
        return word;
        STATUS_TABLE(X)
#undef X
    }
    return "?";
}

enum status status_from_errno(int error)
{
    switch (error) {
    case EAGAIN:
        return ST_PENDING;
    case ECONNREFUSED:
        return ST_REFUSED;
    case ETIMEDOUT:
        return ST_TIMEOUT;
    case ENOMEM:
        return ST_NOMEM;
    case EPIPE:
    case ECONNRESET:
        return ST_CLOSED;
    default:
        return ST_UNAVAILABLE;
    }
}
