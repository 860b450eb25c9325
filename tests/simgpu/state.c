/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - see state.h. */
#include "simgpu/state.h"

#include <inttypes.h>

#include "http/parser.h"
#include "simgpu/work.h"

static void add_int(struct buffer *out, const char *name, int64_t value)
{
    buffer_printf(out, "\"%s\":%" PRId64 ",", name, value);
}

static void add_fields(const struct http_head *head, struct buffer *out)
{
    for (int i = 0; i < head->fields_len; i++) {
        buffer_add(out, i > 0 ? TEXT(",[") : TEXT("["));
        buffer_json(out, head->fields[i].name);
        buffer_add(out, TEXT(","));
        buffer_json(out, head->fields[i].value);
        buffer_add(out, TEXT("]"));
    }
}

/* The head was parsed when it came; it is parsed again because nothing of it was kept but its bytes. */
static void add_last(const struct sim *sim, struct buffer *out)
{
    static const struct http_limits limits = {.target_bytes = SIM_HEAD_MAX,
                                              .head_bytes = SIM_HEAD_MAX};
    struct http_parser parser;
    struct http_head head;
    size_t used;

    http_parser_init(&parser, HTTP_REQUESTS, &limits);
    http_parser_next(&parser, &head);
    if (sim->last_head_len == 0 ||
        http_parser_head(&parser, sim->last_head, sim->last_head_len, &used) != ST_OK) {
        buffer_add(out, TEXT("\"last\":null"));
        return;
    }
    buffer_add(out, TEXT("\"last\":{\"method\":"));
    buffer_json(out, head.method_text);
    buffer_add(out, TEXT(",\"target\":"));
    buffer_json(out, head.target);
    buffer_printf(out, ",\"body_bytes\":%zu,\"fields\":[", sim->last_body_len);
    add_fields(&head, out);
    buffer_add(out, TEXT("]}"));
}

void state_print(struct sim *sim, struct buffer *out)
{
    int64_t open = 0;

    gpu_advance(&sim->gpu, loop_now_us(sim->loop));
    LIST_EACH (node, &sim->connections)
        open++;
    buffer_printf(out, "{\"temperature\":%.3f,\"pinned\":%s,\"energy_j\":%.3f,",
                  sim->gpu.temperature_c, sim->gpu.is_pinned ? "true" : "false", sim->gpu.energy_j);
    add_int(out, "slots", sim->options.slots);
    add_int(out, "working", sim->working_len);
    add_int(out, "working_peak", sim->working_peak);
    add_int(out, "waiting", sim->waiting_len);
    add_int(out, "queue_depth", work_queue_depth(sim));
    add_int(out, "requests", sim->requests_total);
    add_int(out, "images", sim->images_total);
    add_int(out, "abandoned", sim->abandoned_total);
    add_int(out, "connections", sim->connections_total);
    add_int(out, "open_connections", open);
    add_last(sim, out);
    buffer_add(out, TEXT("}\n"));
}
