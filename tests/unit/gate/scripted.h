/* SPDX-License-Identifier: Apache-2.0 */
/* scripted.h - a gate for tests: a store that does as it is told, two backends, and clients and upstreams on in-memory
 * pairs.  scripted_close() checks that every hold came back: units, slots, places in the queue, upstreams, slabs. */
#pragma once

#include <criterion/criterion.h>

#include "gate/client.h"
#include "gate/gate.h"
#include "gate/request.h"
#include "quota/quota.h"

#define SCRIPTED_BACKENDS 2
#define SCRIPTED_WORKERS  2
#define SCRIPTED_BYTES    (1 << 20)

/* The other end of a pair: what a client or a backend does, and what it sees. */
struct far_end {
    struct stream stream;
    char *got; /* owned by the scripted gate */
    size_t len;
    bool has_fin;
    bool is_broken;
};

/* A store whose answers a test chooses. */
struct scripted_store {
    struct quota *quota; /* of worker 0 */
    enum status
        reserve; /* what the next reserves end with; ST_PENDING: later, by scripted_store_done() */
    enum status commit;
    bool loses_holds;     /* a commit finds nothing that is held */
    enum status claim;    /* likewise */
    int64_t leased_units; /* of limits of the whole service */
    struct op *pending;
    struct reservation *reserving;
    int64_t held_images; /* in all holds that are not settled */
    int64_t used_images; /* charged by settling */
    int reserves, commits, settles;
    char order[256]; /* 'r', 'c', 's', 'l' (a claim) as they are called, 'w' by tests */
};

struct scripted {
    struct loop *loop;
    struct mailbox *mailboxes[SCRIPTED_WORKERS];
    struct config *config;
    struct backend_set *backends;
    struct shared_gate shared;
    struct gate *gates[SCRIPTED_WORKERS]; /* both on one loop */
    struct gate *gate;                    /* the first */
    struct scripted_store store;
    struct address peer;
    struct far_end far_ends[160];
    int far_len;
};

/* A policy: free (3 a day, never waits), plus (200, waits 30 s), basic (200, waits 20 ms), staff (unlimited, waits 30 s).
 * Backends gpu0 and gpu1 with one slot each; nobody listens at their addresses.  more: lines for the main file. */
void scripted_open(struct scripted *s, const char *more);
void scripted_close(struct scripted *s);
/* Some turns; or until the condition holds, for a second at most. */
void scripted_turns(struct scripted *s, int turns);
#define SCRIPTED_UNTIL(s, cond)                                                                    \
    do {                                                                                           \
        for (int scripted_i = 0; scripted_i < 200 && !(cond); scripted_i++)                        \
            loop_run_once((s)->loop, 5);                                                           \
        cr_assert(cond);                                                                           \
    } while (0)

/* A client that has just connected, and its far end; capacity: bytes that fit between them. */
struct client *scripted_client(struct scripted *s, size_t capacity, struct far_end **out);
struct client *scripted_client_at(struct scripted *s, struct gate *gate, size_t capacity,
                                  struct far_end **out);
/* An upstream that is idle in the pool, and the backend's end. */
struct upstream *scripted_upstream(struct scripted *s, int backend, size_t capacity,
                                   struct far_end **out);
/* Ends the wait of a reserve or commit that was to be later; and a turn, for what follows to be written. */
void scripted_store_done(struct scripted *s, enum status st);

void far_say(struct far_end *far, const char *text);
void far_say_bytes(struct far_end *far, const void *bytes, size_t len);
/* As much as goes. */
size_t far_push(struct far_end *far, const void *bytes, size_t len);
/* All that came so far, NUL-terminated. */
const char *far_read(struct far_end *far);
/* The same, forgetting what came before. */
const char *far_read_anew(struct far_end *far);
/* At most that many bytes more. */
size_t far_sip(struct far_end *far, size_t len);
bool far_has(struct far_end *far, const char *text);
/* How often it stands there. */
int scripted_count(const char *text, const char *what);
#define FAR_HAS(far, text)   cr_assert(far_has((far), (text)), "%s", far_read(far))
#define FAR_LACKS(far, text) cr_assert(!far_has((far), (text)), "%s", far_read(far))

/* A request for images of that account, and a 2xx answer with as many. */
const char *scripted_job(const char *tier, int images);
const char *scripted_answer(int images);
/* How often an outcome was counted, over all tiers. */
uint64_t scripted_outcomes(const struct scripted *s, enum outcome outcome);
