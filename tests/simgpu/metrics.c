/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - see metrics.h. */
#include "simgpu/metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "simgpu/work.h"

/* What DCGM says where a GPU has no such sensor. */
#define SENTINEL "9223372036854775794"

static void add_gpu(struct sim *sim, struct buffer *out, const char *name, const char *kind,
                    const char *help, const char *value)
{
    buffer_printf(out,
                  "# HELP %s %s\n# TYPE %s %s\n"
                  "%s{gpu=\"0\",UUID=\"%s\",pci_bus_id=\"00000000:01:00.0\",device=\"nvidia0\","
                  "modelName=\"Simulated GPU\",Hostname=\"%s\"} %s\n",
                  name, help, name, kind, name, sim->uuid, sim->options.name, value);
}

static void add_temperature(struct sim *sim, struct buffer *out, const char *name, const char *help,
                            double celsius)
{
    char value[40];

    if (sim->controls.metrics_mode == METRICS_MISSING)
        return;
    if (sim->controls.metrics_mode == METRICS_NAN)
        snprintf(value, sizeof(value), "NaN");
    else if (sim->controls.metrics_mode == METRICS_SENTINEL)
        snprintf(value, sizeof(value), SENTINEL);
    else
        snprintf(value, sizeof(value), "%.3f", celsius);
    add_gpu(sim, out, name, "gauge", help, value);
}

static void add_own(struct buffer *out, const char *name, const char *kind, const char *help,
                    int64_t value)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRId64 "\n", name, help, name, kind, name,
                  value);
}

void metrics_print(struct sim *sim, struct buffer *out)
{
    const struct gpu *gpu = &sim->gpu;
    char value[40];

    gpu_advance(&sim->gpu, loop_now_us(sim->loop));
    add_temperature(sim, out, "DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).",
                    gpu->temperature_c);
    add_temperature(sim, out, "DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).",
                    gpu_memory_temperature_c(gpu));
    snprintf(value, sizeof(value), "%.3f", gpu_power_w(gpu));
    add_gpu(sim, out, "DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", value);
    snprintf(value, sizeof(value), "%.0f", gpu->energy_j * 1000);
    add_gpu(sim, out, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter",
            "Total energy consumption since boot (in mJ).", value);
    snprintf(value, sizeof(value), "%d", gpu_utilization(gpu));
    add_gpu(sim, out, "DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", value);
    add_own(out, "simgpu_queue_depth", "gauge", "Jobs that wait for a slot.",
            work_queue_depth(sim));
    add_own(out, "simgpu_images_total", "counter", "Images drawn.", sim->images_total);
    add_own(out, "simgpu_requests_total", "counter", "Requests for images.", sim->requests_total);
}
