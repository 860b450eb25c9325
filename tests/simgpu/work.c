/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - see work.h. */
#include "simgpu/work.h"

#include <stdlib.h>

#include "simgpu/answer.h"

static void free_retired(struct retired *retired)
{
    free(container_of(retired, struct job, retired));
}

static void set_busy(struct sim *sim)
{
    double seconds = sim->controls.seconds_per_image;
    double heat = seconds > 0 ? sim->options.heat_c / seconds : 0;

    gpu_set_busy(&sim->gpu, sim->working_len, heat, loop_now_us(sim->loop));
}

static void step_later(struct job *job)
{
    int64_t wait_us = job->step_us;

    if (job->steps_done == 0)
        wait_us += job->sim->controls.delay_ms * 1000;
    timer_set(job->sim->loop, &job->timer, loop_now_us(job->sim->loop) + wait_us);
}

static void begin(struct job *job);

static void leave_slot(struct job *job)
{
    struct sim *sim = job->sim;

    list_remove(&job->link);
    sim->working_len--;
    set_busy(sim);
    loop_retire(sim->loop, &job->retired, free_retired);
    struct list *node = list_pop_front(&sim->waiting);
    if (node != NULL) {
        sim->waiting_len--;
        begin(container_of(node, struct job, link));
    }
}

static void finish(struct job *job)
{
    struct sim *sim = job->sim;
    struct connection *c = job->connection;

    sim->images_total += job->ask.images;
    if (job->step_us == 0)
        gpu_warm(&sim->gpu, sim->options.heat_c * job->ask.images, loop_now_us(sim->loop));
    leave_slot(job);
    if (c == NULL)
        return;
    c->job = NULL;
    if (job->ask.is_streamed)
        answer_stream_end(c, job);
    else
        answer_images(c, job);
}

/* The next part of the work is done.  False: so is the whole. */
static bool step(struct job *job)
{
    job->steps_done++;
    if (job->ask.is_streamed && job->connection != NULL)
        answer_stream_event(job->connection, job);
    if (job->steps_done < job->steps)
        return true;
    finish(job);
    return false;
}

static void fire_step(struct timer *timer)
{
    struct job *job = container_of(timer, struct job, timer);

    if (step(job))
        step_later(job);
}

static void begin(struct job *job)
{
    struct sim *sim = job->sim;
    bool takes_time = job->step_us > 0 || sim->controls.delay_ms > 0;

    job->is_working = true;
    list_push_back(&sim->working, &job->link);
    sim->working_len++;
    sim->working_peak = MAX(sim->working_peak, sim->working_len);
    set_busy(sim);
    if (job->ask.is_streamed && job->connection != NULL)
        answer_stream_begin(job->connection);
    if (takes_time) {
        step_later(job);
        return;
    }
    while (step(job))
        continue;
}

void work_start(struct connection *c, const struct ask *ask, enum fault fault)
{
    struct sim *sim = c->sim;
    struct job *job = calloc(1, sizeof(*job));
    double image_us = sim->controls.seconds_per_image * 1e6;

    ASSERT(job != NULL);
    list_init(&job->link);
    timer_init(&job->timer, fire_step);
    job->sim = sim;
    job->connection = c;
    job->ask = *ask;
    job->fault = fault;
    job->given = ask->images - controls_take(&sim->controls.short_images);
    job->steps = ask->is_streamed ? ask->images * (ask->partial_images + 1) : 1;
    job->step_us = (int64_t)(image_us * ask->images / job->steps);
    c->job = job;
    if (sim->working_len < sim->options.slots) {
        begin(job);
        return;
    }
    list_push_back(&sim->waiting, &job->link);
    sim->waiting_len++;
}

void work_abandon(struct job *job)
{
    struct sim *sim = job->sim;

    job->connection->job = NULL;
    job->connection = NULL;
    if (job->is_working)
        return;
    list_remove(&job->link);
    sim->waiting_len--;
    sim->abandoned_total++;
    loop_retire(sim->loop, &job->retired, free_retired);
}

static void drop_all(struct sim *sim, struct list *jobs)
{
    LIST_EACH (node, jobs) {
        struct job *job = container_of(node, struct job, link);

        list_remove(node);
        timer_clear(&job->timer);
        loop_retire(sim->loop, &job->retired, free_retired);
    }
}

void work_stop(struct sim *sim)
{
    drop_all(sim, &sim->waiting);
    drop_all(sim, &sim->working);
}

int64_t work_queue_depth(const struct sim *sim)
{
    return sim->controls.queue_depth >= 0 ? sim->controls.queue_depth : sim->waiting_len;
}
