/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - telemetry of every backend, merged and published.  Runs on: control thread. */
#pragma once

#include "backend/backend.h"
#include "net/loop.h"

struct watch;

/* reported() is called after every reading that was published. */
MUST_CHECK enum status watch_start(struct loop *loop, struct backend_set *set,
                                   void (*reported)(void *owner), void *owner, struct watch **out);
/* Takes over the timeouts of a new generation. */
void watch_configure(struct watch *watch, const struct config *config);
/* Has every backend that has telemetry told something, or been waited for long enough? */
bool watch_is_settled(const struct watch *watch, int64_t now_us);
void watch_stop(struct watch **watch);
