/* SPDX-License-Identifier: Apache-2.0 */
/* base.c - the end that a bug comes to. */
#include "base/base.h"

#include <stdlib.h>

#include "base/log.h"

void assert_failed(const char *file, int line, const char *what)
{
    log_event(LOG_ERROR, "assert_failed", "at=%s:%d condition=\"%s\"", file, line, what);
    abort();
}
