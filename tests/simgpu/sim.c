/* SPDX-License-Identifier: Apache-2.0 */
/* sim.c - see sim.h. */
#include "simgpu/sim.h"

#include <stdio.h>

#include "simgpu/connection.h"
#include "simgpu/work.h"

void sim_init(struct sim *sim, const struct sim_options *options, struct loop *loop, int port)
{
    *sim = (struct sim){.options = *options, .loop = loop};
    list_init(&sim->connections);
    list_init(&sim->waiting);
    list_init(&sim->working);
    controls_init(&sim->controls, options->seconds_per_image);
    gpu_init(&sim->gpu, options->ambient_c, options->cooling_s, options->slots, loop_now_us(loop));
    if (options->uuid != NULL)
        snprintf(sim->uuid, sizeof(sim->uuid), "%s", options->uuid);
    else
        snprintf(sim->uuid, sizeof(sim->uuid), "GPU-51a00000-0000-4000-8000-%012d", port);
}

void sim_controls_changed(struct sim *sim)
{
    struct controls *controls = &sim->controls;

    gpu_advance(&sim->gpu, loop_now_us(sim->loop));
    if (controls->temperature == controls->temperature) /* a number */
        sim->gpu.temperature_c = controls->temperature;
    if (controls->pin >= 0)
        sim->gpu.is_pinned = controls->pin == 1;
    if (controls->close_idle)
        connection_close_idle(sim);
}

void sim_fini(struct sim *sim)
{
    LIST_EACH (node, &sim->connections)
        connection_close(container_of(node, struct connection, link));
    work_stop(sim);
    pictures_fini(&sim->pictures);
    canned_fini(&sim->canned);
}
