/* SPDX-License-Identifier: Apache-2.0 */
/* accesslog.h - one line a request.  Each worker collects its lines and writes them whole, with one call, every 100 ms or
 * when there are many: lines of several workers do not mix.  Never keys, prompts or bodies.  Runs on: worker. */
#pragma once

#include "config/config.h"
#include "net/loop.h"

struct request;

struct accesslog {
    struct loop *loop;
    int fd; /* owned, unless it is standard output; -1: no log */
    enum access_format format;
    char *lines; /* owned */
    size_t len;
    struct timer timer;
};

/* ST_OK, or ST_UNAVAILABLE: the file cannot be opened. */
MUST_CHECK enum status accesslog_open(struct accesslog *log, struct loop *loop,
                                      const struct config *config);
void accesslog_write(struct accesslog *log, const struct request *req);
void accesslog_close(struct accesslog *log);
