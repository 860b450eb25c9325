/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line an event, one write(2) a line, so that lines of threads and processes never mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* A longer line is cut. */
#define LINE_MAX_BYTES 2048

static const char *const words[] = {"", "error", "warn", "note", "debug"};

/* Written by whoever reads the configuration, read by all; no order with anything else is needed. */
static atomic_int threshold = LOG_NOTE;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

static void add_time(struct text_out *out, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm utc;

    if (!gmtime_r(&seconds, &utc))
        return;
    text_out_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                    utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                    (int)(wall_us % 1000000 / 1000));
}

/* A value from outside must not begin a line of its own, or move a terminal's cursor. */
static void blank_controls(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    int saved_errno = errno;
    char line[LINE_MAX_BYTES + 1];
    struct text_out out;
    va_list args;

    text_out_init(&out, line, LINE_MAX_BYTES);
    add_time(&out, clock_wall_us());
    text_out_printf(&out, " %s %s ", words[level], event);
    va_start(args, format);
    int len = vsnprintf(line + out.len, LINE_MAX_BYTES - out.len, format, args);

    va_end(args);
    size_t used = out.len + MIN((size_t)MAX(len, 0), LINE_MAX_BYTES - out.len - 1);

    blank_controls(line, used);
    while (used > 0 && line[used - 1] == ' ')
        used--;
    line[used] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used + 1);

    UNUSED(written); /* there is nowhere else to say it */
    errno = saved_errno;
}
