/* SPDX-License-Identifier: Apache-2.0 */
/* gpu.c - see gpu.h. */
#include "simgpu/gpu.h"

/* A real card would have throttled before this. */
#define HOTTEST_C 110.0
#define IDLE_W    60.0
#define FULL_W    400.0

/* e^-x for x >= 0: within 1 % up to x = 1.5, and far enough down beyond it; spares the library of mathematics. */
static double decay(double x)
{
    return 1.0 / (1.0 + x * (1.0 + x / 2 * (1.0 + x / 3 * (1.0 + x / 4))));
}

void gpu_init(struct gpu *gpu, double ambient_c, double cooling_s, int slots, int64_t now_us)
{
    *gpu = (struct gpu){.ambient_c = ambient_c,
                        .cooling_s = cooling_s,
                        .temperature_c = ambient_c,
                        .slots = slots,
                        .now_us = now_us};
}

void gpu_advance(struct gpu *gpu, int64_t now_us)
{
    double seconds = (double)(now_us - gpu->now_us) / 1e6;

    if (seconds <= 0)
        return;
    gpu->energy_j += gpu_power_w(gpu) * seconds;
    gpu->now_us = now_us;
    if (gpu->is_pinned)
        return;
    double resting = gpu->ambient_c + gpu->heat_per_second * gpu->busy * gpu->cooling_s;
    gpu->temperature_c = resting + (gpu->temperature_c - resting) * decay(seconds / gpu->cooling_s);
    gpu->temperature_c = MIN(gpu->temperature_c, HOTTEST_C);
}

void gpu_set_busy(struct gpu *gpu, int busy, double heat_per_second, int64_t now_us)
{
    gpu_advance(gpu, now_us);
    gpu->busy = busy;
    gpu->heat_per_second = heat_per_second;
}

void gpu_warm(struct gpu *gpu, double degrees, int64_t now_us)
{
    gpu_advance(gpu, now_us);
    if (!gpu->is_pinned)
        gpu->temperature_c = MIN(gpu->temperature_c + degrees, HOTTEST_C);
}

double gpu_power_w(const struct gpu *gpu)
{
    return IDLE_W + (FULL_W - IDLE_W) * MIN(gpu->busy, gpu->slots) / gpu->slots;
}

double gpu_memory_temperature_c(const struct gpu *gpu)
{
    /* Memory runs a little ahead of the die, the more so the hotter it is. */
    return gpu->temperature_c + (gpu->temperature_c - gpu->ambient_c) * 0.1 + 2;
}

int gpu_utilization(const struct gpu *gpu)
{
    return 100 * MIN(gpu->busy, gpu->slots) / gpu->slots;
}
