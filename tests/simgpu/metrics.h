/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - /metrics, in the words of NVIDIA's dcgm-exporter, and a few of simgpu's own. */
#pragma once

#include "simgpu/buffer.h"
#include "simgpu/sim.h"

void metrics_print(struct sim *sim, struct buffer *out);
