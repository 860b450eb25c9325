/* SPDX-License-Identifier: Apache-2.0 */
/* top.h - who was charged most images today, by this gateway, in bounded memory.  (board.h: by all gateways.)
 *
 * Each worker keeps a sketch: Space-Saving of Metwally, Agrawal and El Abbadi (2005) with TOP_LEN counters, weighted by
 * images.  An account that is not in a full sketch takes over the least counter, whose count becomes its error.  So in a
 * sketch that was charged N images today: count - error <= true count <= count; error <= N / TOP_LEN; and every account
 * with more than N / TOP_LEN images is in it.  Up to TOP_LEN accounts a worker, all counts are exact.
 *
 * Sketches are merged when somebody asks (Agarwal and others, "Mergeable summaries", 2012): counts and errors are added,
 * and where a full sketch lacks the account, its least count is added to both.  The bounds hold for the sums.
 *
 * A day is the policy's.  At its end counts begin at zero, but the accounts stay known until others need the place: that
 * is how the admin API knows the tier of an account that a front proxy named. */
#pragma once

#include "core/account.h"
#include "net/mailbox.h"

#define TOP_LEN     1024
#define TOP_SLOTS   2048          /* a power of two */
#define TOP_BUCKETS (TOP_LEN + 2) /* the first has no entries; one entry may be between two */

struct top_entry {
    struct account account; /* zone, tier and team belong to the generation */
    int generation;
    int64_t images; /* today; in a sketch it is the bucket that has them */
    int64_t error;  /* so many of them may be another's */
};

/* The entries that have so many images, and the buckets of those that have next fewer and more.  A charge moves an entry a
 * bucket or two on, whatever the number of entries: the Stream-Summary of the same paper. */
struct top_bucket {
    int64_t images;
    uint16_t first; /* of the entries, which are a ring: it has been here longest */
    uint16_t fewer, more;
};

struct top_link {
    uint16_t bucket;
    uint16_t previous, next; /* in the bucket's ring */
};

/* Of a hash table without chains: finds who is in, and mostly who is not, without a look at the entries, which are many
 * lines of the cache. */
struct top_slot {
    uint32_t hash; /* of the account's digest */
    uint16_t entry;
    bool is_taken;
};

/* One thread's. */
struct top_sketch {
    int64_t day;
    int len;
    struct top_entry *entries;  /* owned: TOP_LEN */
    struct top_link *links;     /* owned: of the entries */
    struct top_bucket *buckets; /* owned: TOP_BUCKETS, a ring from the first one round */
    uint16_t spare;             /* a bucket that is not used; the others follow it */
    uint16_t *slot_of;          /* owned: which slot each entry has */
    struct top_slot *slots;     /* owned: TOP_SLOTS, half of them free */
};

MUST_CHECK enum status top_sketch_init(struct top_sketch *sketch);
void top_sketch_fini(struct top_sketch *sketch);
/* The account was charged images on that day; 0: it was seen, which displaces nobody. */
void top_sketch_add(struct top_sketch *sketch, const struct account *account, int generation,
                    int64_t images, int64_t day);
/* A copy of one of its entries, 0..len-1. */
struct top_entry top_sketch_entry(const struct top_sketch *sketch, int i);
/* The least count of a full sketch, else 0: what an account that it lacks may have had that day. */
int64_t top_sketch_least(const struct top_sketch *sketch, int64_t day);

/* --- the sketches of a process --- */

struct top;

/* boxes: one mailbox a worker; they outlive the sketches' use.  Runs on: control thread. */
MUST_CHECK enum status top_open(struct loop *loop, struct mailbox *const *boxes, int workers,
                                struct top **out);
/* After all workers have ended and their mailboxes are freed. */
void top_close(struct top **top);

/* As top_sketch_add().  Runs on: that worker. */
void top_add(struct top *top, int worker, const struct account *account, int generation,
             int64_t images, int64_t day);

/* Of one sketch, or of several together. */
struct top_list {
    int len;
    struct top_entry *entries; /* owned: most images first */
    int64_t least;             /* so many images an account may have had that is not in it */
};
void top_list_free(struct top_list *list);
/* The limit accounts with most images in all of the lists.  ST_OK or ST_NOMEM. */
MUST_CHECK enum status top_list_merge(const struct top_list *lists, int lists_len, int limit,
                                      struct top_list *out);

/* Asks all workers: the limit accounts with most images on that day, or the one with this id (TEXT_NONE: any).
 * ST_PENDING, or ST_NOMEM; *out is written when op is done with ST_OK, and op may be cancelled.  Control thread. */
MUST_CHECK enum status top_collect(struct top *top, int64_t day, struct text id, int limit,
                                   struct top_list *out, struct op *op);
