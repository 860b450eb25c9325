/* SPDX-License-Identifier: Apache-2.0 */
/* gate.h - what a worker lends its requests: its loop, its connections to stores and backends, its buffers and counters.
 * Runs on: worker; only gate_kick() is called by others. */
#pragma once

#include "backend/backend.h"
#include "backend/pool.h"
#include "base/stats.h"
#include "config/config.h"
#include "gate/accesslog.h"
#include "gate/outcome.h"
#include "http/slab.h"
#include "identity/keystore.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "quota/quota.h"
#include "quota/share.h"

struct client_gather;
struct refusal_copy;
struct request;

/* Results of quota store calls, as a metric's label. */
enum store_op {
    STORE_OP_RESERVED,
    STORE_OP_REFUSED,
    STORE_OP_RESERVED_LOCALLY,
    STORE_OP_FAILED,
    STORE_OP_COMMITTED,
    STORE_OP_SETTLED,
    STORE_OPS_LEN
};
extern const char *const store_op_words[STORE_OPS_LEN];

struct gate {
    int worker;
    struct loop *loop;
    struct mailbox *mailbox; /* of this worker */
    struct config *config;   /* counted: for requests to come */
    struct backend_set *backends;
    struct shared_gate *shared;
    struct gate **peers; /* one a worker, this one among them; outlives the gate */
    int peers_len;

    /* Told of every account when its request is over, with the images charged.  NULL: nobody listens. */
    void (*charged)(void *owner, int worker, const struct account *account, int generation,
                    int64_t images, int64_t day);
    void *charged_owner;

    struct quota *quota;  /* owned */
    struct keys *keys;    /* owned; NULL: there is no keystore */
    struct shares shares; /* once there is a quota */
    struct pool pool;
    struct slab_pool slabs;
    struct timer trim; /* set while there may be slabs that nobody needs */
    struct http_limits limits;
    struct stats stats;
    struct accesslog log;
    char *buffer; /* owned: for reading what is used up at once */
    size_t buffer_size;
    char *scratch; /* owned: heads that are written here, and sent before the next one */
    size_t scratch_size;
    struct refusal_copy *refusal; /* owned */
    struct client_gather *gather; /* owned */
    struct tee *tee;              /* owned; NULL: there is none, and answers are copied */
    struct shelf requests;
    struct shelf blocks;             /* of their arenas */
    struct reservation nothing_held; /* not written to, nor is the next one */
    struct share_hold no_share;

    struct list clients; /* all, but for those in eager */
    int clients_len;
    struct list eager; /* whose next request is here already */
    struct turn_hook eager_hook;

    struct list waiting; /* requests in QUEUE: higher priority first, then in order of arrival */
    int waiting_len;
    struct turn_hook offer_hook;
    struct mail kick;

    struct backend_load *loads; /* owned: the view, made anew in the first turn that asks */
    uint64_t loads_turn;
    int loads_generation; /* whose ladder they were judged by */
    uint64_t random;
};

struct gate_terms {
    int worker;
    struct loop *loop;
    struct mailbox *mailbox;
    struct config *config;
    struct backend_set *backends;
    struct shared_gate *shared;
    struct quota_store *store;
    struct keystore *keystore; /* NULL: none */
    struct gate **peers;
    int peers_len;
};

MUST_CHECK enum status gate_open(const struct gate_terms *terms, struct gate **out);
/* With the loop at rest and no request left: sends what the store still has to get, closes what is open (harmless for
 * NULL); then, once no gate can reach another, frees it. */
void gate_end(struct gate *gate);
void gate_free(struct gate **gate);
/* Takes a new generation for requests to come, and opens a keystore (NULL: there is none) that is new. */
void gate_configure(struct gate *gate, struct config *config, struct keystore *keystore);
/* Closes idle connections; those at work say `Connection: close` (shared->is_draining is set already). */
void gate_drain(struct gate *gate);
/* Ends every connection and request at once. */
void gate_stop(struct gate *gate);
void gate_accept(struct gate *gate, int fd, const struct address *from);

/* The load as this request may see it: as of this turn, or fresh.  Valid until the next call. */
struct load_view gate_view(const struct request *req, bool is_fresh);
/* Slabs were given back: those of a crowd that has gone are freed soon. */
void gate_trim_later(struct gate *gate);
uint64_t gate_random(struct gate *gate);
/* A slot of this backend was given back: for who waits here, or else at another worker. */
void gate_slot_is_free(struct gate *gate, const struct backend *backend);
/* Wakes that worker's queue, and no other: a slot is free, or backends are better.  Any thread. */
void gate_kick(struct gate *gate);
