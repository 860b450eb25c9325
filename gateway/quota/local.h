/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - what a tier with on_store_down: local may have while the store is down.      Runs on: worker.
 *
 * An embedded store of this process's own counts it, against a share of each limit (quota.local_share, at least one image).
 * What is delivered is charged twice: there, so that no restart begins the share anew, and in the store, which gets it as
 * any commit that it could not be sent: from the outbox, when it is back.  So an account gets at most
 *
 *   its limit + gateways * max(share of its limit, one image)
 *
 * in a window in which the store was down, however often. */
#pragma once

#include "quota/quota.h"

struct local {
    struct quota *door; /* owned: to the embedded store */
    int share_percent;
};

/* r is as quota_reserve() left it.  ST_OK: r is HELD; or ST_UNAVAILABLE, also where the share is used up: how the limit
 * itself stands is not known. */
MUST_CHECK enum status local_reserve(struct quota *q, struct reservation *r, struct op *op);
/* Of an r that local_reserve() holds; contract as quota_commit(), quota_settle(). */
MUST_CHECK enum status local_commit(struct quota *q, struct reservation *r, int64_t used_images,
                                    struct op *op);
void local_settle(struct quota *q, struct reservation *r, int64_t used_images);
