/* SPDX-License-Identifier: Apache-2.0 */
/* client_out.h - between the two halves of a client: client.c, which reads and ends it, and client_out.c, which writes.
 * Runs on: worker. */
#pragma once

#include "gate/client.h"

/* The socket takes bytes again: those of the backlog. */
void client_write_backlog(struct client *c);
/* Now, not at the end of the turn.  What the socket does not take is in the backlog then. */
void client_write_gathered(struct client *c);
void client_drop_gathered(struct client *c);
/* The step of client_flush(). */
enum status client_flush_step(struct client *c);

/* A wait for this client: op is done when step says other than ST_PENDING. */
enum status client_wait_with(struct client *c, enum status (*step)(struct client *c),
                             struct op *op);
/* Nothing more can be said to it; whoever asks for more finds out by itself. */
void client_mark_gone(struct client *c);
/* The same as an event: its request is told, or it is closed where it has none. */
void client_lost(struct client *c);
/* The backlog of one without a request is empty: its next request, or its end. */
void client_go_on(struct client *c);
