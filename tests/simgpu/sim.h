/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - the simulator: one thread, one loop, one GPU with slots and a queue before them. */
#pragma once

#include "base/list.h"
#include "net/loop.h"
#include "simgpu/canned.h"
#include "simgpu/control.h"
#include "simgpu/gpu.h"
#include "simgpu/options.h"
#include "simgpu/picture.h"

#define SIM_HEAD_MAX 32768

struct sim {
    struct sim_options options;
    struct loop *loop;       /* owned */
    struct list connections; /* of struct connection */
    struct controls controls;
    struct gpu gpu;
    struct pictures pictures;
    struct canned canned;
    char uuid[100];

    struct list waiting; /* of struct job: the queue */
    struct list working; /* of struct job: one a slot */
    int waiting_len, working_len;

    int64_t connections_total;
    int64_t requests_total;  /* for images, well-formed or not */
    int64_t images_total;    /* drawn */
    int64_t abandoned_total; /* whose client was gone before work began */
    int working_peak;
    /* The head of the last request that was not for the simulator itself, as it came. */
    char last_head[SIM_HEAD_MAX];
    size_t last_head_len;
    size_t last_body_len;
};

void sim_init(struct sim *sim, const struct sim_options *options, struct loop *loop, int port);
/* What it takes to follow the controls after they were changed. */
void sim_controls_changed(struct sim *sim);
void sim_fini(struct sim *sim);
