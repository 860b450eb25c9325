/* SPDX-License-Identifier: Apache-2.0 */
/* redis.h - one worker's requests to Redis.  Private to this folder.
 *
 * A request is on exactly one of these ways: a question that waits for the link to come up (in ops alone); on its way (the
 * link has its call, or that of its batch); or a commit or settle that waits for the link (in unsent, and on disk).  In ops
 * it is besides, while somebody waits for it.
 *
 * A reservation has up to two parts, which may lie on different nodes.  A reserve holds one after the other, in one
 * request; what ends a hold is a request a part. */
#pragma once

#include "base/shelf.h"
#include "quota/outbox.h"
#include "quota/redis_layout.h"
#include "quota/redis_plan.h"
#include "redis/route.h"
#include "quota/store.h"

struct redis_seen;
struct redis_store;

/* UNKNOWN: Redis has not told it since all links were lost; questions wait.  OTHER: Redis is laid out for another number
 * of buckets; they are refused. */
enum layout_state { LAYOUT_UNKNOWN, LAYOUT_SAME, LAYOUT_OTHER };

struct redis_quota {
    struct quota base;
    struct redis_store *store;
    struct redis_route route;
    struct outbox *outbox; /* owned; NULL: its folder cannot be used, memory must do */
    bool waits_for_reply;  /* a commit is done when it is acknowledged */
    bool is_closing;
    bool is_counted;          /* among the store's routes that are up */
    struct shelf requests;    /* that are over */
    struct shelf batches;     /* likewise */
    struct list open_batches; /* of this turn, not written yet */
    bool takes_one_slot;      /* what stands there takes no keys of several slots in one call */
    struct list ops;
    struct list unsent; /* in order */
    int on_way;         /* requests that a link has */
    int on_disk;        /* requests that the outbox has */
    unsigned reserves;  /* sent; every so many reaps */
    int64_t complained_us;

    struct timer poll; /* asks what others amended, and by which layout they count */
    bool is_polling;
    unsigned polls;
    int64_t amends;       /* Redis's count of them, as last heard; -1: never */
    uint32_t own_buckets; /* as configured */
    enum layout_state layout_state;
    struct redis_layout layout; /* as last heard; at first as configured */
    bool has_last_row;
    unsigned char last_row[SUFFIX_LEN]; /* of the last reserve, in that bucket */
    uint32_t last_bucket;
    struct redis_seen *seen; /* owned; NULL: no memory */
};

enum redis_request_kind {
    REQUEST_NONE,
    REQUEST_RESERVE,
    REQUEST_ASK, /* an inspection, or an amend and then its announcement */
    REQUEST_RENEW,
    REQUEST_END,  /* a commit or settle, as the record says */
    REQUEST_POLL, /* redis_poll.c */
    REQUEST_CLAIM,
};

/* Counts amends.  In a bucket like all other keys, so that a Cluster has a place for it. */
#define REDIS_AMENDS_KEY "mg:{0}:amends"

enum redis_poll_step { POLL_ASK, POLL_CLAIM, POLL_SAMPLE };

struct redis_request {
    struct redis_call call;
    struct redis_quota *from;
    enum redis_request_kind kind;
    struct outbox_record record; /* other kinds than END: only its handle, expiry, was_sent */
    bool is_sent;
    bool is_redirected;  /* the route knows where to: redis_route_resend_link() */
    bool is_replicating; /* END: it was acknowledged; replicas are waited for */
    bool is_reviving;    /* END: it had expired, and is done all the same */
    bool is_forced;      /* END: then also without a trace of it */
    bool is_void;        /* END: something else was asked instead; whatever its answer */
    bool is_quiet;       /* END: it leaves others no more than before, so it can ride */
    bool is_on_disk;
    bool is_committed; /* RENEW: which of the two scores */
    int rounds;        /* how often it was sent again */
    struct list in_unsent;
    struct list in_ops;
    struct op *op; /* NULL: nobody waits */
    struct reservation
        *r; /* lent by the caller while it waits for how its limits stand, or for its commit */

    /* All but POLL: which part.  RESERVE, ASK: since when. */
    int part;
    int limits_len; /* of the part */
    int64_t asked_us;
    unsigned amends; /* quota_amends() then */
    enum redis_task task;
    int64_t amend_units;
    int64_t amend_until_s;
    bool is_announcing; /* ASK: all parts are amended */
    bool is_undated;    /* asked before the store's clock was known, and never sent */
    bool is_alone;      /* RESERVE: it is in no batch, as in one it went wrong */
    bool is_in_batch;   /* RESERVE: while it is on its way */
    bool is_late;       /* RESERVE: of what is called committed, and may have ended: redis_late.c */
    bool has_earlier;   /* RESERVE: the part before is held: earlier */

    enum redis_poll_step poll;
    struct quota_claim *claim; /* CLAIM: lent by the caller while it waits */

    struct redis_request *partner; /* END: of the other part; the op goes with whichever is later */
    int64_t
        sure_until_us; /* END: the hold's, where images may be delivered after it; else INT64_MAX */

    struct reservation
        *about; /* RENEW, and END of a commit: told how it ended, while it is not settled */
    struct redis_request *before; /* END of a settle: its commit, on its way; NULL: none */
    struct redis_request *after;  /* END of a commit: its settle */

    struct hold_handle earlier; /* last: where has_earlier, that part; else never written */
};

/* NULL: no memory (logged). */
struct redis_request *redis_request_new(struct redis_quota *rq, enum redis_request_kind kind);
/* It has left all lists. */
void redis_request_free(struct redis_request *request);
/* redis.c: one that commits or settles a part of r, as r says. */
struct redis_request *redis_request_new_end(struct redis_quota *rq, struct reservation *r, int part,
                                            enum outbox_kind kind);
/* redis.c: a question about r, about whose first part nobody need be asked in vain.  The request may be NULL. */
MUST_CHECK enum status redis_request_ask(struct redis_request *request, struct reservation *r,
                                         struct op *op);
void redis_request_wait(struct redis_request *request, struct op *op);
/* A RESERVE or ASK about r begins with its first part. */
void redis_request_begin(struct redis_request *request, struct reservation *r);
/* The store's clock is known now, of a question that is undated.  False: by that clock its windows are others. */
bool redis_request_date_again(struct redis_request *request);
/* Sends it, or keeps it until the link is up. */
void redis_request_launch(struct redis_request *request);
/* Again, as it stands now. */
void redis_request_go(struct redis_request *request);
/* An END is over: whoever waits is told, and it is freed. */
void redis_request_end(struct redis_request *request);
/* redis_end.c: an integer came in reply to an END. */
void redis_end_answered(struct redis_request *request, const redisReply *reply);
/* The question that it asks now; of a RESERVE or ASK that somebody waits for. */
struct redis_question redis_question_of(const struct redis_request *request);
/* A script's call, of so many keys and arguments in all, which follow (redis/wire.h); the place behind it. */
char *redis_put_script(char *out, const struct redis_link *link, enum redis_script script, int keys,
                       int args);
/* What a RESERVE is to do this time, and until when its lease is. */
void redis_reserve_set_out(struct redis_request *request);
/* Its command, as it stands, into the link's buffer, and how urgent it is; redis_link_end() is left to the caller. */
void redis_request_write(struct redis_request *request, struct redis_link *link);
/* A record that was left behind on disk, and is in this worker's outbox now. */
void redis_request_resume(struct redis_quota *rq, const struct outbox_record *record);

/* redis_batch.c: reserves of a turn that ask for the same, in one call. */
void redis_batches_init(struct redis_quota *rq);
/* The link has it from now on, together with others; false: it goes alone. */
bool redis_batch_take(struct redis_request *request, struct redis_link *link);

/* redis_poll.c: what is asked each second, and whenever a link comes up. */
void redis_poll_init(struct redis_quota *rq, int64_t accounts);
void redis_poll(struct redis_quota *rq);
void redis_poll_write(struct redis_request *request, struct redis_link *link);
void redis_poll_answered(struct redis_request *request, const redisReply *reply);
/* Answered or not. */
void redis_poll_ended(struct redis_request *request);
/* All links are lost. */
void redis_poll_lost(struct redis_quota *rq);
/* Nobody is to be asked for a hold, and waiting is no use. */
bool redis_layout_is_refusing(struct redis_quota *rq);
/* redis_rows.c: what a script has looked at for one account need not be looked at for the others of its bucket. */
struct redis_row {
    uint32_t bucket;
    char letter;
    int64_t ordinal;
    int64_t
        begun_s; /* when grants in its window began to be possible; 0: it takes none until a date */
    int64_t expiry_s; /* until when its hash must stay at least */
};
void redis_rows_init(struct redis_quota *rq);
/* Redis may have lost something. */
void redis_rows_forget(struct redis_quota *rq);
/* Where a limit has its row, of kinds that have one. */
struct redis_row redis_row_of(const struct redis_quota *rq, uint32_t bucket,
                              const struct limit *limit, int64_t asked_us);
/* This limit's row is soon to be asked about, or not: where there are many accounts, what is known of it is far from the
 * cache. */
void redis_rows_expect(const struct redis_quota *rq, uint32_t bucket, const struct limit *limit);
/* The hash stays for long enough, and the bucket keeps no grants until a date. */
void redis_rows_saw(struct redis_quota *rq, const struct redis_row *row, int64_t asked_us);
bool redis_rows_are_seen(const struct redis_quota *rq, const struct redis_row *row, int64_t now_us);
/* Decisions can be had, or not: tells the other threads. */
void redis_quota_count(struct redis_quota *rq);

/* A link came up: what was kept goes first, then the questions that wait. */
void redis_requests_send(struct redis_quota *rq);
/* A link is lost, or will not come up: those who wait are told. */
void redis_requests_lost(struct redis_quota *rq);
/* After the links were closed. */
void redis_requests_free(struct redis_quota *rq);

/* redis_order.c: an END must wait for another of its bucket that waits, and a settle for its commit that is on its way to
 * another node, so that no settle overtakes its commit. */
bool redis_request_is_behind(const struct redis_request *request);
bool redis_request_is_elsewhere(const struct redis_request *request);
/* The place in unsent that it goes before: its settle's, or the end. */
struct list *redis_request_place(struct redis_request *request);
/* Ties the request that is about a part of r to it; what ends the reservation unties it. */
void redis_request_tie(struct redis_request *request, struct reservation *r, int part);
void redis_request_untie(struct redis_request *request);
/* The reservation is settled by that request: nothing is told to it any more. */
void redis_request_tie_settle(struct redis_request *settle, struct reservation *r, int part);
/* Something would be lost, or forgotten, were the links closed now. */
bool redis_requests_are_due(const struct redis_quota *rq);
/* An END is over; if it was a commit, its settle may go. */
void redis_request_ended(struct redis_request *request);

/* redis_late.c: leases that may have ended while this process stood still, or Redis was away. */
/* By a clock read now. */
bool redis_request_is_late(const struct redis_request *end);
bool redis_hold_is_late(const struct reservation *r, int64_t now_us);
int64_t redis_fresh_now_us(const struct quota *q);
/* The first instant by which the hold may be given back, of a lease until then. */
int64_t redis_sure_until_us(int64_t expires_us);
/* Asks for what r, which is called committed or settled, may have lost; ST_OK, ST_LIMIT, ST_UNAVAILABLE or ST_PENDING as
 * of a reserve.  Where it is not OK, r is given back, and NONE. */
MUST_CHECK enum status redis_late_ask(struct redis_quota *rq, struct reservation *r, struct op *op);
/* A commit of images that were not delivered yet has found nothing: its op waits for that question instead. */
void redis_late_instead(struct redis_request *end);
/* How that question ended. */
void redis_late_held(struct redis_request *question);
void redis_late_refused(struct redis_quota *rq, struct reservation *r);
/* A renewal is over; NULL: whether it was done is not known. */
void redis_renewal_ended(struct redis_request *renewal, const redisReply *reply);

/* redis_board.c; as the ops say. */
void redis_board_post(struct quota *q, const struct quota_note *note);
enum status redis_board_read(struct quota *q, struct quota_reading *reading, struct op *op);

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
/* All parts of r as if they were held, which they are not: the end of each will charge it. */
void redis_parts_adopt(struct redis_quota *rq, struct reservation *r);
/* Gives back the part that was held before; nothing where there is none. */
void redis_part_give_back(struct redis_request *request);
