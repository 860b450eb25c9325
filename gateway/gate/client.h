/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - one accepted connection: it reads requests, one at a time, and writes their answers in order.
 * Runs on: worker.
 *
 * Requests that are sent ahead (pipelined) stay in the slab, and in the kernel, until their turn comes.
 * A client may leave in three ways.  It breaks (RST): is_gone, everything written to it is dropped.  It ends its side
 * (FIN): is_half_closed; it may still read its answer, but a request that would have to wait for a slot is given up.
 * It stops reading: after timeouts.write without a byte taken it counts as gone. */
#pragma once

#include "base/address.h"
#include "http/body.h"
#include "http/parser.h"
#include "http/slab.h"
#include "net/stream.h"

struct client_gather;
struct gate;
struct request;

struct client {
    struct stream stream;
    struct gate *gate;
    struct request *req; /* owned; NULL: idle */
    struct list link;    /* in gate->clients, or in gate->eager: a request that was sent ahead */
    struct retired retired;
    struct timer timer; /* idle, write or lingering */
    struct slab *slab;  /* lent by the gate: the head at work, and bytes not used yet */
    size_t head_len;    /* bytes at the slab's start that hold that head; they must not move */
    struct op *op;      /* what the request waits for from this client; NULL: nothing */
    enum status (*step)(struct client *c);
    struct body *body; /* lent by the request while its body is read */
    char *backlog;     /* owned: answer bytes that the socket did not take */
    size_t backlog_at, backlog_len, backlog_size;
    struct address_short peer;
    bool is_gone;
    bool is_half_closed;
    bool is_read;      /* the request, to its end */
    bool must_close;   /* after this answer */
    bool must_reset;   /* the answer broke off and must not look whole */
    bool has_gathered; /* something to be written at the end of this turn */
    bool is_lingering;
    size_t linger_bytes;
};

/* Takes the descriptor.  ST_OK or ST_NOMEM (the descriptor is closed). */
MUST_CHECK enum status client_open(struct gate *gate, int fd, const struct address *from);
/* Its two halves, between which the stream is opened: as a socket above, as one end of a pair by tests.  NULL: no memory. */
struct client *client_new(struct gate *gate, const struct address *from);
void client_begin(struct client *c);
/* Ends it now, with its request. */
void client_stop(struct client *c);
/* Closes it if it has no request. */
void client_close_idle(struct client *c);

/* ST_OK: slab->head is whole.  ST_CLOSED: the client ended first.  ST_INVALID: slab->parser.fault says why. */
MUST_CHECK enum status client_await_head(struct client *c, struct op *op);
/* All of the body.  ST_OK, ST_LIMIT, ST_INVALID, ST_CLOSED, ST_NOMEM, ST_UNAVAILABLE (spool file). */
MUST_CHECK enum status client_await_body(struct client *c, struct body *body, struct op *op);
/* Passes over what is left of a body, if all of it is at hand; false: the connection cannot be used again. */
bool client_skip_body(struct client *c);
/* The head is not needed any more: its slab goes back, unless bytes of a next request are in it. */
void client_release_head(struct client *c);

/* Writes all, by the end of this turn; what the socket does not take is copied to the backlog.  Dropped when the client is
 * gone. */
void client_send(struct client *c, const struct iovec *iov, int iov_len);
/* For writing past client_send() (tee.h), once all that was sent before is with the kernel.  NULL: it is not, or the client is
 * gone. */
struct stream *client_outlet(struct client *c);
/* ST_OK: the backlog is empty.  ST_CLOSED: the client is gone. */
MUST_CHECK enum status client_flush(struct client *c, struct op *op);
/* What a worker gathers for its clients in a turn; the gate's.  NULL: no memory. */
struct client_gather *client_gather_new(void);

/* The request is over and freed: on to the next one, or to the end. */
void client_request_done(struct client *c);
