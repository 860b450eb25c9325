/* SPDX-License-Identifier: Apache-2.0 */
/* probe.h - brings ejected backends back: every probe_interval each one is asked, and is up again once it answers.
 * Runs on: control thread. */
#pragma once

#include "backend/backend.h"
#include "net/loop.h"

struct prober;

MUST_CHECK enum status prober_start(struct loop *loop, struct backend_set *set,
                                    void (*returned)(void *owner, struct backend *backend),
                                    void *owner, struct prober **out);
/* Takes over intervals and timeouts of a new generation. */
void prober_configure(struct prober *prober, const struct config *config);
void prober_stop(struct prober **prober);
