/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - one request, from its first byte to its log line.      Runs on: worker.
 *
 * A request walks a fixed table of phases, forward only:
 *
 *   HEAD -> IDENTIFY -> BODY -> CLASSIFY -> POLICY -> DECIDE -> RESERVE -> QUEUE -> DISPATCH -> RELAY
 *     |        |         |         |          |         |          |         |         |          |
 *     +--------+---------+---------+----------+---------+----------+---------+---------+----------+--> SETTLE -> ANSWER -> LOG
 *
 * Each phase has a begin, which starts what it needs and may have to wait for it, and an end, which judges how that went:
 * STEP_NEXT goes on to the next phase, STEP_END (with req->outcome set) to SETTLE.  A phase waits with req->op, for at
 * most its budget; a request that is waiting is in exactly one phase with exactly one op pending.
 *
 * A request ends with one outcome.  SETTLE gives back what it holds, by looking at the state of each: the reservation
 * (HELD or COMMITTED), the share of the service's limits (TAKEN), the slot, the upstream, the place in the queue.  It comes before ANSWER, so that quota and slot are
 * free before the client can know that its request is over, and a client that reads slowly holds no slot.
 *
 * What the client is told, what the log says, what is counted and what is charged follow from the outcome's row alone. */
#pragma once

#include "base/arena.h"
#include "core/admission.h"
#include "core/reservation.h"
#include "dialect/dialect.h"
#include "gate/client.h"
#include "gate/gate.h"
#include "gate/outcome.h"
#include "identity/identity.h"

/* clang-format off */
/*    phase     begin           end           budget            waits for */
#define PHASE_TABLE(X)                                                                             \
    X(HEAD,     head_begin,     head_end,     head_budget,      "the head of the request")         \
    X(IDENTIFY, identify_begin, identify_end, no_budget,        "the account to be known")         \
    X(BODY,     body_begin,     body_end,     body_budget,      "the body of the request")         \
    X(CLASSIFY, classify_begin, classify_end, no_budget,        "nothing")                         \
    X(POLICY,   policy_begin,   policy_end,   no_budget,        "nothing")                         \
    X(DECIDE,   decide_begin,   decide_end,   no_budget,        "nothing")                         \
    X(RESERVE,  reserve_begin,  reserve_end,  no_budget,        "units held in the quota store")   \
    X(QUEUE,    queue_begin,    queue_end,    queue_budget,     "a slot on a backend")             \
    X(DISPATCH, dispatch_begin, dispatch_end, dispatch_budget,  "a connection, and the job sent")  \
    X(RELAY,    relay_begin,    relay_end,    relay_budget,     "the answer, part by part")        \
    X(SETTLE,   settle_begin,   settle_end,   no_budget,        "what comes back to be on its way") \
    X(ANSWER,   answer_begin,   answer_end,   no_budget,        "the client to take its answer")   \
    X(LOG,      log_begin,      log_end,      no_budget,        "nothing")

enum phase {
    PHASE_NONE,
#define X(name, begin, end, budget, waits) PHASE_##name,
    PHASE_TABLE(X)
#undef X
    PHASE_DONE
};
/* clang-format on */

enum step { STEP_NEXT, STEP_END };

#define REQUEST_ID_MAX  128
#define TRACEPARENT_LEN 55

/* What the relay is waiting for. */
enum relay_wait { RELAY_NONE, RELAY_HEAD, RELAY_COMMIT, RELAY_PIECE, RELAY_CLIENT, RELAY_SETTLE };

struct request {
    struct gate *gate;
    struct client *client;
    struct config *config; /* counted: the generation that it began with */
    enum phase phase;
    enum phase ended_in; /* the phase that the outcome arose in */
    enum outcome outcome;
    struct op op;       /* the one wait */
    struct timer timer; /* the phase's budget */
    struct arena arena;
    struct retired retired;

    /* Microseconds on the loop's clock; 0: did not happen. */
    int64_t begun_us, reserve_us, queued_us, slot_us, sent_us, first_byte_us;

    /* From the head, kept beyond it. */
    const char *id;                /* x-request-id, in the arena; "": not known yet */
    struct address_short from;     /* the client, or what a trusted proxy says stands behind it */
    const struct dialect *dialect; /* of the route; never NULL after HEAD */
    enum operation operation;
    const struct message *message; /* the unavailable message in the client's language */
    bool wants_problem;            /* prefers application/problem+json */
    bool is_version_1_0;
    bool is_method_head;

    struct identity_wait *identity_wait; /* in the arena; NULL: nobody is asked who it is */
    struct identity_found identity;
    bool is_known; /* identity holds an account */
    enum identity_fault identity_fault;
    struct body body;
    struct job job;
    struct complaint *complaint; /* in the arena; NULL: none */
    struct terms
        *terms; /* in the arena, as long as its limits are; before POLICY the least, or NULL */
    struct verdict verdict;
    enum reason trial; /* why a step of the ladder on trial would have shed it */
    /* Of the limits of the whole service; in the arena, or gate->no_share where there are none. */
    struct share_hold *share;
    /* In the arena, as long as its limits are; never NULL: gate->nothing_held before RESERVE, and without limits. */
    struct reservation *reservation;
    bool
        is_local; /* the store was down, and a share of each limit was asked for (on_store_down: local) */
    bool is_without_store;  /* admitted while the quota store was down (on_store_down: open) */
    int64_t charged_images; /* for metrics and the log */

    struct list waiting;     /* in gate->waiting, while in QUEUE */
    uint64_t tried;          /* backends that could not be connected to: bit index mod 64 */
    struct backend *backend; /* its slot is ours while has_slot */
    bool has_slot;
    struct upstream *upstream; /* ours from DISPATCH until RELAY ends */
    struct job_head *job_head; /* in the arena; NULL: what it holds lies in the client's slab */
    bool is_sending;           /* DISPATCH: connected; the job is on its way */
    bool is_sent;              /* DISPATCH is over: the job is at the backend */

    enum relay_wait relay_wait;
    struct counter *counter; /* in the arena, while is_counting */
    bool is_counting;
    bool is_counted;         /* counted is final */
    int64_t counted;         /* images in the answer; -1: could not be counted */
    int answer_status;       /* of the answer: the backend's, or the gateway's own; 0: none */
    struct text answer_head; /* not sent yet: in gate->scratch, or in the arena if it has to wait */
    bool is_answer_begun;    /* its head went to the client */
    bool is_rechunked;       /* the answer goes to the client in chunks of our own */
    bool ends_by_close;      /* the answer to an HTTP/1.0 client without a length */
    struct text piece;
};

const char *phase_name(enum phase phase);

/* A client's next request: its first bytes are in the client's slab. */
void request_start(struct client *client);
/* Carry the request on from where it stands; st is how the phase it is in went. */
void request_advance(struct request *req, enum status st);
/* End it with this outcome, whatever it waits for. */
void request_abort(struct request *req, enum outcome outcome);
/* Progress within a phase: its budget starts anew. */
void request_moved(struct request *req);
/* The client's connection broke, while nothing was waited for from it. */
void request_client_gone(struct request *req);
/* The client will send no more. */
void request_client_half_closed(struct request *req);

/* How req->op is done outside phases that wait for several things in turn: they put their own done() in its place while
 * they last.  A budget that is over arrives there, too, as ST_TIMEOUT. */
void request_on_done(struct op *op, enum status st);
/* Has a byte of the job left for a backend? */
bool request_is_sent(const struct request *req);
/* The tier's label in metrics; 0 while the account is not known. */
int request_stats_tier(const struct request *req);
/* Sets the outcome; for `return request_end_with(req, OUTCOME_X)` in an end. */
enum step request_end_with(struct request *req, enum outcome outcome);

/* One begin, end and budget a phase; each phase is one file. */
#define X(name, begin, end, budget, waits)                                                         \
    enum status begin(struct request *req);                                                        \
    enum step end(struct request *req, enum status st);                                            \
    int64_t budget(const struct request *req);
PHASE_TABLE(X)
#undef X

/* head.c: is the other end of the connection a proxy whose word on addresses counts? */
bool head_peer_is_trusted(const struct request *req);
/* decide.c: the outcome that even the least request of this account would end with now, or OUTCOME_NONE: for refusing it
 * before its body is read. */
enum outcome decide_before_body(struct request *req);
/* reserve.c: are the limits of the whole service known to be used up?  Then the limit is told in req->share. */
bool reserve_is_over_service(struct request *req);
/* reserve.c: is the account known to be out of quota under these terms, whatever it asks for?  Then the limit is told in
 * req->reservation. */
bool reserve_is_denied(struct request *req, const struct terms *terms);
/* queue.c: a slot may be free: offers it to those who wait.  Called at the end of a turn. */
void queue_offer(struct gate *gate);
/* queue.c: is there a slot that is free, whoever may use it?  It may be gone when it is taken. */
bool queue_has_free_slot(const struct gate *gate);
/* queue.c: picks a backend with a free slot for this request and takes the slot. */
bool queue_take_slot(struct request *req);
/* dispatch.c: gives back slot and upstream, as far as they are held. */
void dispatch_release(struct request *req);
/* dispatch.c: the backend answered with a status of this class (1..5), or was lost: for metrics, and for its ejection, which
 * 5xx counts towards as well. */
#define DISPATCH_LOST 0
void dispatch_count_answer(struct request *req, int class);
/* relay.c: the answer is not read on: the images that were whole by now are what is counted. */
void relay_cut(struct request *req);
/* settle.c: the images to charge: those counted, or all that were asked for where they cannot be counted. */
int64_t settle_counted_images(const struct request *req);
/* settle.c: would settling with so many images give something back? */
bool settle_gives_back(const struct request *req, int64_t used_images);
/* settle.c: settles the reservation with so many images, if one is held.  With op, what comes back is on its way to the
 * store once this is ST_OK, or the op is done; without, it is sent when the turn ends. */
enum status settle_quota(struct request *req, int64_t used_images, struct op *op);
/* answer.c: what a worker's refusals are copied from; empty.  NULL: no memory.  For free(). */
struct refusal_copy *answer_refusal_new(void);
/* fields.c: the fields that the gateway adds to every answer, and the RateLimit fields where a limit was looked at. */
void fields_write(struct request *req, struct text_out *out);
/* forward.c: the heads that are passed on, in gate->scratch: to be sent, or kept, before it is used again.  TEXT_NONE: they
 * are too large. */
struct text forward_job_head(struct request *req);
struct text forward_answer_head(struct request *req, const struct http_head *head);
/* forward.c: what the job's head is made from moves to the arena, so that the client's slab can go back.  False: no room. */
bool forward_keep_job(struct request *req);
