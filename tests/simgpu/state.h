/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - what GET /sim tells: the GPU, the queue, what was counted, and the last request as it was seen. */
#pragma once

#include "simgpu/buffer.h"
#include "simgpu/sim.h"

void state_print(struct sim *sim, struct buffer *out);
