/* SPDX-License-Identifier: Apache-2.0 */
/* redis.h - one worker's requests to Redis.  Private to this folder.
 *
 * A request is on exactly one of these ways: a reserve that waits for the link to come up (in ops alone); on its way (the
 * link has its call); or a commit or settle that waits for the link (in unsent, and on disk).  In ops it is besides, while
 * somebody waits for it. */
#pragma once

#include "quota/outbox.h"
#include "quota/redis_link.h"
#include "quota/store.h"

struct redis_store;

struct redis_quota {
    struct quota base;
    struct redis_store *store;
    struct redis_link link;
    struct outbox *outbox; /* owned; NULL: its folder cannot be used, memory must do */
    bool waits_for_reply;  /* a commit is done when it is acknowledged */
    bool is_closing;
    bool is_counted; /* among the store's links that are up */
    struct list ops;
    struct list unsent; /* in order */
    int on_disk;        /* requests that the outbox has */
    unsigned reserves;  /* sent; every so many reaps */
    int64_t complained_us;
};

enum redis_request_kind { REQUEST_NONE, REQUEST_RESERVE, REQUEST_RENEW, REQUEST_END };

struct redis_request {
    struct redis_call call;
    struct redis_quota *from;
    enum redis_request_kind kind; /* END: a commit or settle, as the record says */
    struct outbox_record record;  /* RESERVE and RENEW: only its handle, expiry, was_sent */
    bool is_sent;
    bool is_reviving; /* END: it had expired; it is charged again first */
    bool is_on_disk;
    bool is_committed; /* RENEW: which of the two scores */
    int rounds;        /* how often it was sent again */
    struct list in_unsent;
    struct list in_ops;
    struct op *op;         /* NULL: nobody waits */
    struct reservation *r; /* lent by the caller while it waits for a reserve */
};

/* NULL: no memory (logged). */
struct redis_request *redis_request_new(struct redis_quota *rq, enum redis_request_kind kind);
void redis_request_wait(struct redis_request *request, struct op *op);
/* Sends it, or keeps it until the link is up. */
void redis_request_launch(struct redis_request *request);
/* Its command, as it stands, into the link's buffer; redis_link_end() is left to the caller. */
void redis_request_write(struct redis_request *request);
/* A record that was left behind on disk, and is in this worker's outbox now. */
void redis_request_resume(struct redis_quota *rq, const struct outbox_record *record);

/* The link came up: what was kept goes first, then the reserves that wait. */
void redis_requests_send(struct redis_quota *rq);
/* The link is lost, or will not come up: those who wait are told. */
void redis_requests_lost(struct redis_quota *rq);
/* Something would be lost, or forgotten, were the link closed now. */
bool redis_requests_are_due(const struct redis_quota *rq);
/* After the link was closed. */
void redis_requests_free(struct redis_quota *rq);
