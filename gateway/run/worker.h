/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - a thread with a loop, listeners and a gate.  Made and told what to do by the control thread; everything
 * that it does, it does on its own thread. */
#pragma once

#include <pthread.h>

#include "gate/gate.h"

struct worker {
    int index;
    pthread_t thread;
    bool is_running;
    struct loop *loop;
    struct mailbox *mailbox;
    struct gate *gate;
    int listeners_len;
    struct listener *listeners[LISTEN_MAX];
    struct timer hold; /* set while there are too many connections to take another */
    struct mail drain;
    struct mail stop;
};

/* Everything but the thread.  terms->loop and mailbox are made here. */
MUST_CHECK enum status worker_open(struct worker *w, const struct gate_terms *terms);
/* Listens; in *at the port 0 becomes the port that was bound. */
MUST_CHECK enum status worker_listen(struct worker *w, struct address *at);
MUST_CHECK enum status worker_start(struct worker *w);

/* From the control thread. */
void worker_configure(struct worker *w, struct config *config, struct keystore *keystore);
void worker_drain(struct worker *w); /* closes the listeners and idle connections */
void worker_stop(struct worker *w);  /* ends all at once */
void worker_join(struct worker *w);
/* After all were joined, or never started: ends its mail and gate; then, after all were closed, frees them.  Workers reach
 * each other's gates until then. */
void worker_close(struct worker *w);
void worker_free(struct worker *w);
