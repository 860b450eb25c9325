/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr;
static int pipe_fds[2];

static void begin_capture(void)
{
    cr_assert_eq(pipe(pipe_fds), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
}

static size_t end_capture(char *line, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(pipe_fds[1]);
    ssize_t len = read(pipe_fds[0], line, size - 1);

    line[MAX(len, 0)] = '\0';
    close(pipe_fds[0]);
    close(saved_stderr);
    return (size_t)MAX(len, 0);
}

Test(log, one_line_an_event)
{
    char line[4096];

    begin_capture();
    errno = ENOENT;
    log_event(LOG_WARN, "backend_ejected", "backend=%s failures=%d", "gpu0\nx", 5);
    cr_assert_eq(errno, ENOENT);
    end_capture(line, sizeof(line));
    cr_assert_str_eq(line + strlen("2026-11-21T20:51:03.123Z"),
                     " warn backend_ejected backend=gpu0 x failures=5\n");
    cr_assert_eq(line[10], 'T');
    cr_assert_eq(line[23], 'Z');
}

Test(log, levels)
{
    char line[4096];

    begin_capture();
    log_event(LOG_DEBUG, "hidden", "a=%d", 1);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "hidden", "a=%d", 1);
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "shown", "%s", "");
    end_capture(line, sizeof(line));
    cr_assert_null(strstr(line, "hidden"));
    cr_assert_not_null(strstr(line, " debug shown\n"));
}

Test(log, long_lines_are_cut)
{
    static char value[5000];
    static char line[8192];

    memset(value, 'x', sizeof(value) - 1);
    begin_capture();
    log_event(LOG_NOTE, "long", "value=%s", value);
    size_t len = end_capture(line, sizeof(line));

    cr_assert_leq(len, 2049);
    cr_assert_eq(line[len - 1], '\n');
}
