/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - jobs: the queue, the slots, and the time that images take.
 *
 * A job whose client leaves while it waits is dropped; one at work goes on to its end, as on a real GPU, and its images
 * go nowhere.  Every job is in exactly one of sim->waiting and sim->working. */
#pragma once

#include "simgpu/ask.h"
#include "simgpu/connection.h"

struct job {
    struct list link;
    struct timer timer;
    struct retired retired;
    struct sim *sim;
    struct connection *connection; /* NULL: its client is gone */
    struct ask ask;
    enum fault fault; /* FAULT_NONE, FAULT_RESET, FAULT_SHORT or FAULT_STALL: how its answer ends */
    int given;        /* images that the answer holds: ask.images, or one fewer */
    int steps;        /* 1, or for a stream one for each event */
    int steps_done;
    int64_t step_us;
    bool is_working;
};

/* Puts the job in a slot or in the queue; its answer comes by itself, perhaps at once. */
void work_start(struct connection *c, const struct ask *ask, enum fault fault);
void work_abandon(struct job *job);
/* Frees all jobs. */
void work_stop(struct sim *sim);
/* What the gauge shows. */
int64_t work_queue_depth(const struct sim *sim);
