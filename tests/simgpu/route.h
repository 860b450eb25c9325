/* SPDX-License-Identifier: Apache-2.0 */
/* route.h - which answer a request gets. */
#pragma once

#include "simgpu/connection.h"

/* c holds a whole request; it is answered now or later, with connection_end(). */
void route(struct connection *c);
