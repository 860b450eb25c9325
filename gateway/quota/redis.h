/* SPDX-License-Identifier: Apache-2.0 */
/* redis.h - one worker's requests to Redis.  Private to this folder.
 *
 * A request is on exactly one of these ways: a question that waits for the link to come up (in ops alone); on its way (the
 * link has its call); or a commit or settle that waits for the link (in unsent, and on disk).  In ops it is besides, while
 * somebody waits for it.
 *
 * A reservation has up to two parts, which may lie on different nodes.  A reserve holds one after the other, in one
 * request; what ends a hold is a request a part. */
#pragma once

#include "quota/outbox.h"
#include "quota/redis_plan.h"
#include "redis/route.h"
#include "quota/store.h"

struct redis_store;

struct redis_quota {
    struct quota base;
    struct redis_store *store;
    struct redis_route route;
    struct outbox *outbox; /* owned; NULL: its folder cannot be used, memory must do */
    bool waits_for_reply;  /* a commit is done when it is acknowledged */
    bool is_closing;
    bool is_counted; /* among the store's routes that are up */
    struct list ops;
    struct list unsent; /* in order */
    int on_way;         /* requests that a link has */
    int on_disk;        /* requests that the outbox has */
    unsigned reserves;  /* sent; every so many reaps */
    int64_t complained_us;

    struct timer poll; /* asks what others amended */
    bool is_polling;
    int64_t amends; /* Redis's count of them, as last heard; -1: never */
};

enum redis_request_kind {
    REQUEST_NONE,
    REQUEST_RESERVE,
    REQUEST_ASK, /* an inspection, or an amend and then its announcement */
    REQUEST_RENEW,
    REQUEST_END,  /* a commit or settle, as the record says */
    REQUEST_POLL, /* what others amended */
    REQUEST_CLAIM,
};

struct redis_request {
    struct redis_call call;
    struct redis_quota *from;
    enum redis_request_kind kind;
    struct outbox_record record; /* other kinds than END: only its handle, expiry, was_sent */
    bool is_sent;
    bool is_redirected;  /* the route knows where to: redis_route_resend_link() */
    bool is_replicating; /* END: it was acknowledged; replicas are waited for */
    bool is_reviving;    /* END: it had expired; it is charged again first */
    bool is_on_disk;
    bool is_committed; /* RENEW: which of the two scores */
    int rounds;        /* how often it was sent again */
    struct list in_unsent;
    struct list in_ops;
    struct op *op;         /* NULL: nobody waits */
    struct reservation *r; /* lent by the caller while it waits for how its limits stand */

    /* RESERVE, ASK: which part, and since when. */
    int part;
    int limits_len; /* of the part */
    int64_t asked_us;
    unsigned amends; /* quota_amends() then */
    enum redis_task task;
    int64_t amend_units;
    bool is_announcing;         /* ASK: all parts are amended */
    bool has_earlier;           /* RESERVE: the part before is held */
    struct hold_handle earlier; /* then: that one */

    struct quota_claim *claim; /* CLAIM: lent by the caller while it waits */

    struct redis_request *partner; /* END: of the other part; the op goes with whichever is later */
};

/* NULL: no memory (logged). */
struct redis_request *redis_request_new(struct redis_quota *rq, enum redis_request_kind kind);
void redis_request_wait(struct redis_request *request, struct op *op);
/* A RESERVE or ASK about r begins with its first part. */
void redis_request_begin(struct redis_request *request, struct reservation *r);
/* Sends it, or keeps it until the link is up. */
void redis_request_launch(struct redis_request *request);
/* Its command, as it stands, into the link's buffer; redis_link_end() is left to the caller. */
void redis_request_write(struct redis_request *request, struct redis_link *link);
/* A record that was left behind on disk, and is in this worker's outbox now. */
void redis_request_resume(struct redis_quota *rq, const struct outbox_record *record);

/* redis.c: how many amends Redis counts, as asked at that time. */
void redis_amends_heard(struct redis_quota *rq, const redisReply *reply, int64_t asked_us);

/* A link came up: what was kept goes first, then the questions that wait. */
void redis_requests_send(struct redis_quota *rq);
/* A link is lost, or will not come up: those who wait are told. */
void redis_requests_lost(struct redis_quota *rq);
/* Something would be lost, or forgotten, were the links closed now. */
bool redis_requests_are_due(const struct redis_quota *rq);
/* After the links were closed. */
void redis_requests_free(struct redis_quota *rq);

/* redis_order.c: an END must wait for another of its bucket that waits, so that no settle overtakes its commit. */
bool redis_request_is_behind(const struct redis_request *request);
/* The settle of the same hold, if it was sent after this commit, wherever it is on its way; else NULL. */
struct redis_request *redis_request_settle_behind(const struct redis_request *commit);

/* redis_service.c: shares of the limits of the whole service. */
MUST_CHECK enum status redis_claim(struct quota *q, struct quota_claim *claim, struct op *op);
void redis_claim_write(struct redis_request *request, struct redis_link *link);
/* Tells the claim, if somebody waits.  ST_OK, or ST_UNAVAILABLE: its window is over, or this is no answer to one. */
MUST_CHECK enum status redis_claim_answered(const struct redis_request *request,
                                            const redisReply *reply);

/* redis_parts.c: what a question has learned, and where it goes next. */
enum redis_next { NEXT_PART, NEXT_AGAIN, NEXT_DONE };
/* A reply about one part of what is asked; st is how it ends, where it is done. */
enum redis_next redis_part_answered(struct redis_request *request,
                                    const struct redis_answer *answer, enum status *st);
/* Gives back the part that was held before; nothing where there is none. */
void redis_part_give_back(struct redis_request *request);
