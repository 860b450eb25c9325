/* SPDX-License-Identifier: Apache-2.0 */
/* connection.h - one accepted connection: requests in, one at a time, and answers out.
 *
 * A request is read whole, then route() answers it: at once, or later.  What it appends to c->out goes out with
 * connection_flush(); connection_end() says that the answer is complete.  Bytes of the next request wait meanwhile. */
#pragma once

#include "http/parser.h"
#include "net/stream.h"
#include "simgpu/buffer.h"
#include "simgpu/sim.h"

#define CONNECTION_READ_MAX 49152 /* a head and what is read with it */

enum ending {
    ENDING_NONE, /* the answer is not complete, and may never be */
    ENDING_KEEP, /* complete; the connection stays, if the request allows it */
    ENDING_CLOSE,
    ENDING_RESET, /* RST, a moment after the last byte */
};

struct job;

struct connection {
    struct stream stream;
    struct list link; /* in sim->connections */
    struct retired retired;
    struct timer reset;
    struct sim *sim;
    struct http_parser parser;
    struct http_head head;
    size_t in_len, parsed_len; /* of in: bytes read, and of those, parsed */
    size_t head_len;           /* of in: the head at work; 0 while it is not whole */
    struct buffer body;        /* what came in more than one piece */
    struct text content;       /* the whole body, once it is there */
    struct buffer out;
    size_t out_sent;
    struct text lent; /* goes out after out; outlives the connection */
    size_t lent_sent;
    enum ending ending;
    bool is_answering;
    bool is_processing;
    struct job *job; /* of the request at work; NULL: none */
    char in[CONNECTION_READ_MAX];
};

/* Takes the descriptor. */
void connection_accept(struct sim *sim, int fd);
/* Sends what can be sent now; the rest follows by itself. */
void connection_flush(struct connection *c);
/* The answer at work is complete once all of it is sent. */
void connection_end(struct connection *c, enum ending ending);
/* Does the answer at work end with its connection? */
bool connection_closes(const struct connection *c);
void connection_close(struct connection *c);
/* Closes every connection that waits for a request. */
void connection_close_idle(struct sim *sim);
