/* SPDX-License-Identifier: Apache-2.0 */
/* gpu.h - the simulated GPU: a first-order thermal model and its power.
 *
 * Each working slot warms it at a constant rate, and it loses heat in proportion to how far it is above the room:
 *     dT/dt = heat_per_second * busy - (T - ambient) / cooling_s
 * The state is brought up to now whenever it is read or changed; between two such moments busy is constant, so the
 * solution is exact but for the approximated exponential. */
#pragma once

#include "base/base.h"

struct gpu {
    double ambient_c;
    double cooling_s;       /* time constant */
    double heat_per_second; /* C a second for each busy slot */
    double temperature_c;
    bool is_pinned; /* the temperature stays as it was set */
    int busy;       /* slots at work */
    int slots;
    double energy_j; /* since the start */
    int64_t now_us;  /* the state is that of this moment */
};

void gpu_init(struct gpu *gpu, double ambient_c, double cooling_s, int slots, int64_t now_us);
/* Brings the state up to now. */
void gpu_advance(struct gpu *gpu, int64_t now_us);
/* heat_per_second: of one busy slot, from now on. */
void gpu_set_busy(struct gpu *gpu, int busy, double heat_per_second, int64_t now_us);
/* Heat of work that took no time. */
void gpu_warm(struct gpu *gpu, double degrees, int64_t now_us);
double gpu_power_w(const struct gpu *gpu);
double gpu_memory_temperature_c(const struct gpu *gpu);
/* 0..100 */
int gpu_utilization(const struct gpu *gpu);
