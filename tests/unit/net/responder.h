/* SPDX-License-Identifier: Apache-2.0 */
/* responder.h - a listener on the loopback that answers each connection's first bytes with a text, on the test's loop. */
#pragma once

#include "net/listener.h"

struct responder {
    struct loop *loop;
    struct listener *listener;
    const char *answer; /* NULL: none, the connection stays open */
    int asked;
    char request[2048]; /* the last */
};

void responder_open(struct responder *r, struct loop *loop);
void responder_close(struct responder *r);
