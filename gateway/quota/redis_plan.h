/* SPDX-License-Identifier: Apache-2.0 */
/* redis_plan.h - one part of a reservation as the scripts take it, and what they reply.
 *
 * A plan begins with what is to be done, integers big endian:
 *
 *   u8   enum redis_task
 *   i32  what has a score up to this is expired
 *   u16  images
 *   30   the facts of a common plan, or zeros
 *
 * The facts are u24 images allowed (0: no common plan); u48 the RATE's charge (0: no such limit), now since its segment
 * began, how far its TAT may be; i24 images in flight (-1: no such limit); u48 when the calendar limit's row expires, as
 * below.  A common plan is one calendar limit, then a RATE, an IN_FLIGHT limit or both, all for images of the ledger's own
 * subject, none on trial.
 *
 * Then come 38 bytes a limit:
 *
 *   u8   'c' calendar, 'g' RATE, 'r' ROLLING, 'i' IN_FLIGHT
 *   u8   1: on trial
 *   6    the subject
 *   i48  what is charged: grains, microseconds of TAT, images; for an amend, by how much or what
 *   u48  what is allowed; for a grant, the most
 *   u48  calendar: the span; RATE: now since its segment began; ROLLING: the slot
 *   u48  calendar: grains in one granted; RATE: a segment
 *   u48  when the row expires (Unix seconds); 0: its hash does, and the bucket keeps no grants (redis_rows.c) */
#pragma once

#include <hiredis/hiredis.h>

#include "quota/quota.h"
#include "quota/redis_scripts.h"
#include "quota/redis_token.h"

#define PLAN_COUNTS_LEN 24 /* of the facts: all but the last */
#define PLAN_FACTS_LEN  (PLAN_COUNTS_LEN + 6)
#define PLAN_HEAD_LEN   (1 + 4 + 2 + PLAN_FACTS_LEN)
#define PLAN_LIMIT_LEN  38
/* In a limit. */
#define PLAN_EXPIRY_AT 32

struct redis_plan {
    int rows_len;
    unsigned char rows[2 * LIMITS_MAX][SUFFIX_LEN]; /* the ends of their keys */
    int len;                                        /* bytes */
    unsigned char bytes[PLAN_HEAD_LEN + PLAN_LIMIT_LEN * LIMITS_MAX];
};

struct redis_quota;

/* How a part stands, and what is asked about it. */
struct redis_question {
    const struct redis_quota *from;
    const struct reservation *r;
    int part;
    uint32_t bucket;
    int64_t asked_us; /* the same as for the token: it chooses slots and segments */
    int64_t now_us;
    enum redis_task task;
    int64_t amend_units;
};

/* Can ROWS do it?  Has it a common plan? */
bool redis_part_is_rows(const struct reservation *r, int part);
bool redis_part_is_common(const struct reservation *r, int part);
void redis_plan_make(const struct redis_question *question, struct redis_plan *out);

/* What RESERVES takes of accounts that ask for the same, by a common plan or one calendar limit for images: u16 images; the
 * facts as above, but for the last; u48 the RATE's segment. */
#define PLAN_SEGMENT_AT (2 + PLAN_COUNTS_LEN)
#define PLAN_SHARED_LEN (PLAN_SEGMENT_AT + 6)

struct redis_shared_plan {
    int rows_len;
    unsigned char rows[3][SUFFIX_LEN];
    unsigned char facts[PLAN_SHARED_LEN];
};

/* False: it has no such plan, or some of its hashes must be looked at first.  What is not used of out is zero. */
bool redis_plan_share(const struct redis_question *question, struct redis_shared_plan *out);

struct redis_answer {
    int verdict; /* 0: held; the 1-based limit of the part that refuses; or REDIS_ASK_AGAIN */
    unsigned over;
    int64_t in_hand_images;
    unsigned looked; /* redis_rows.c: of which limits at what is the same for the whole bucket */
    const redisReply *rows[LIMITS_MAX]; /* the reply's; NULL: one number is all of it */
    int64_t number;                     /* then */
};
#define REDIS_ASK_AGAIN (-3)
#define REDIS_REFUSED   (-4) /* and less, by the row of the only limit */

/* False: the reply has another form than that of a part with so many limits. */
bool redis_answer_read(const redisReply *reply, int limits_len, struct redis_answer *out);
/* Tells the part's limits. */
void redis_answer_tell(const struct redis_answer *answer, struct reservation *r, int part,
                       int64_t asked_us);
