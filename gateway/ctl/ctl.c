/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.c - what all verbs of meltctl say alike. */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>

int ctl_fail(enum exit_code code, const char *format, ...)
{
    va_list args;

    fputs("meltctl: ", stderr);
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is right above; the check misses it */
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return (int)code;
}
