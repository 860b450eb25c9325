/* SPDX-License-Identifier: Apache-2.0 */
/* route.c - see route.h. */
#include "simgpu/route.h"

#include <string.h>

#include "simgpu/answer.h"
#include "simgpu/metrics.h"
#include "simgpu/state.h"
#include "simgpu/work.h"

static void take_images_request(struct connection *c)
{
    struct sim *sim = c->sim;
    enum fault fault = controls_take_fault(&sim->controls);
    struct ask ask;
    char error[200];

    switch (fault) {
    case FAULT_FAIL:
        answer_error(c, (int)sim->controls.fail_status, "simulated_failure",
                     "This failure was asked for.");
        return;
    case FAULT_HANG:
        return;
    case FAULT_DROP:
        connection_close(c);
        return;
    case FAULT_GARBAGE:
        buffer_add(&c->out, TEXT("SIMGPU/0.0 is out of order\r\n\r\n"));
        connection_end(c, ENDING_CLOSE);
        return;
    case FAULT_NONE:
    case FAULT_RESET:
    case FAULT_SHORT:
    case FAULT_STALL:
        break;
    }
    if (ask_parse(c->content, &ask, error))
        answer_error(c, 400, NULL, error);
    else
        work_start(c, &ask, fault);
}

static void images(struct connection *c)
{
    struct sim *sim = c->sim;
    int count;

    sim->requests_total++;
    struct text canned = canned_answer(sim, c->content, &count);
    if (canned.len == 0) {
        take_images_request(c);
        return;
    }
    sim->images_total += count;
    c->lent = canned;
    connection_end(c, ENDING_KEEP);
}

static void models(struct connection *c)
{
    struct buffer body = {0};

    buffer_printf(&body,
                  "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\","
                  "\"created\":1790000000,\"owned_by\":\"simgpu\"}]}\n",
                  c->sim->options.model);
    answer_whole(c, 200, "application/json", buffer_text(&body));
    buffer_clear(&body, 0);
}

static void health(struct connection *c)
{
    answer_whole(c, 200, "application/json", TEXT("{\"status\":\"ok\"}\n"));
}

static void metrics(struct connection *c)
{
    struct buffer body = {0};

    if (c->sim->controls.metrics_mode == METRICS_HANG)
        return;
    if (c->sim->controls.metrics_mode == METRICS_OFF) {
        answer_error(c, 404, NULL, "Metrics are off.");
        return;
    }
    metrics_print(c->sim, &body);
    answer_whole(c, 200, "text/plain; version=0.0.4", buffer_text(&body));
    buffer_clear(&body, 0);
}

static void state(struct connection *c)
{
    struct buffer body = {0};

    state_print(c->sim, &body);
    answer_whole(c, 200, "application/json", buffer_text(&body));
    buffer_clear(&body, 0);
}

static void control(struct connection *c)
{
    char error[200];

    if (controls_change(&c->sim->controls, c->content, error)) {
        answer_error(c, 400, NULL, error);
        return;
    }
    sim_controls_changed(c->sim);
    state(c);
}

/* "/pictures/0123456789abcdef-640x480.png" */
static void picture(struct connection *c)
{
    struct text name = c->head.path;
    uint8_t seed[8] = {0};
    struct picture picture = {.bytes = c->sim->options.image_bytes};
    struct buffer body = {0};

    name.ptr += strlen("/pictures/");
    name.len -= strlen("/pictures/");
    if (name.len < 22 || text_unhex((struct text){name.ptr, 16}, seed, 8) ||
        ask_parse_size((struct text){name.ptr + 17, name.len - 21}, &picture.width,
                       &picture.height)) {
        answer_error(c, 404, NULL, "No such picture.");
        return;
    }
    for (int i = 0; i < 8; i++)
        picture.seed = picture.seed << 8 | seed[i];
    picture_png(&picture, &body);
    answer_whole(c, 200, "image/png", buffer_text(&body));
    buffer_clear(&body, 0);
}

struct path {
    struct text path;
    void (*answer)(struct connection *c);
    enum http_method method;
    bool is_own; /* the simulator's: not remembered as the last request */
};

static const struct path paths[] = {
    {{"/v1/images/generations", 22}, images, METHOD_POST, false},
    {{"/v1/models", 10}, models, METHOD_GET, false},
    {{"/health", 7}, health, METHOD_GET, true},
    {{"/metrics", 8}, metrics, METHOD_GET, true},
    {{"/sim", 4}, state, METHOD_GET, true},
    {{"/sim", 4}, control, METHOD_POST, true},
};

static void remember(struct connection *c)
{
    struct sim *sim = c->sim;

    sim->last_head_len = MIN(c->head_len, sizeof(sim->last_head));
    memcpy(sim->last_head, c->in, sim->last_head_len);
    sim->last_body_len = c->content.len;
}

void route(struct connection *c)
{
    enum http_method method = c->head.method == METHOD_HEAD ? METHOD_GET : c->head.method;
    bool is_path = false;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (!text_equal(paths[i].path, c->head.path))
            continue;
        is_path = true;
        if (paths[i].method != method)
            continue;
        if (!paths[i].is_own)
            remember(c);
        paths[i].answer(c);
        return;
    }
    remember(c);
    if (method == METHOD_GET && text_starts_with(c->head.path, TEXT("/pictures/")))
        picture(c);
    else if (is_path)
        answer_error(c, 405, NULL, "This path has no such method.");
    else
        answer_error(c, 404, NULL, "No such path.");
}
