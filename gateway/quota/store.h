/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - what the implementations of a quota store share.  Private to this folder. */
#pragma once

#include <stdatomic.h>

#include "quota/quota.h"

/* How long a store remembers that an amend was done. */
#define AMEND_MEMORY_US INT64_C(3600000000)

/* Seconds after its end in which a window of the service is still claimed in (by a gateway whose clock is behind), and in
 * which its row is kept: so none is ever counted anew. */
#define SERVICE_CLAIMED_S 300
#define SERVICE_KEPT_S    900

struct quota_store_ops {
    const char *name;
    enum status (*open)(struct quota_store *store, struct loop *loop, const struct config *config,
                        struct quota **out);
    bool (*is_up)(const struct quota_store *store);
    void (*close)(struct quota_store *store);
};

/* The base of each implementation's store. */
struct quota_store {
    const struct quota_store_ops *ops;
    struct quota_store
        *local; /* owned: where tiers are counted while this one is down; NULL: none */
    atomic_uint
        amends; /* that may have changed what workers remember.    write: any    read: workers */
    _Atomic(const char *)
        trouble; /* why it is down, where that is not plain.  write: workers  read: all */
    atomic_llong bucket_milli; /* thousandths of an account in a bucket, sampled.  Likewise */
    atomic_bool is_full_said;  /* that these are too many */
};

/* The implementations; contract as quota_store_open(). */
MUST_CHECK enum status embedded_store_open(const char *folder, char error[CONFIG_ERROR_MAX],
                                           struct quota_store **out);
MUST_CHECK enum status redis_store_open(const struct config *config, char error[CONFIG_ERROR_MAX],
                                        struct quota_store **out);

void quota_init(struct quota *q, const struct quota_ops *ops, struct quota_store *store,
                struct loop *loop, int64_t lease_us);
/* A reserve went through: r is HELD, and its lease is renewed from now on. */
void quota_hold(struct quota *q, struct reservation *r, int64_t expires_us);
/* Renews every live reservation now, whatever is left of its lease. */
void quota_renew_all(struct quota *q);
/* The store refused r, which is told, with so many images of that limit's subject held.  amends: quota_amends() when the
 * store was asked; what it says may be old otherwise. */
void quota_refused(struct quota *q, const struct reservation *r, int64_t in_hand_images,
                   unsigned amends);
unsigned quota_amends(const struct quota *q);
/* Limits were amended, here or elsewhere: all workers forget what they remember. */
void quota_store_amended(struct quota_store *store);
