/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - see answer.h. */
#include "simgpu/answer.h"

#include <inttypes.h>
#include <stdio.h>

#include "http/writer.h"
#include "simgpu/gzip.h"

#define HEAD_MAX   2048
#define CHUNK_SIZE ((size_t)65536)

static void add_head_common(struct connection *c, struct text_out *out, int status,
                            const char *content_type)
{
    struct controls *controls = &c->sim->controls;

    http_write_status(out, status);
    http_write_field(out, TEXT("Content-Type"), text_of(content_type));
    http_write_field(out, TEXT("Server"), text_of(c->sim->options.name));
    http_write_date(out, loop_wall_us(c->sim->loop));
    if (controls->has_hop_fields) {
        http_write_field(out, TEXT("Connection"), TEXT("x-sim-hop"));
        http_write_field(out, TEXT("X-Sim-Hop"), TEXT("1"));
        http_write_field(out, TEXT("Keep-Alive"), TEXT("timeout=75"));
    }
    if (!c->head.keeps_alive)
        http_write_field(out, TEXT("Connection"), TEXT("close"));
}

/* Ends the head.  content_bytes < 0: chunked. */
static void add_head_end(struct connection *c, struct text_out *out, int64_t content_bytes)
{
    if (content_bytes < 0)
        http_write_field(out, TEXT("Transfer-Encoding"), TEXT("chunked"));
    else
        http_write_int_field(out, TEXT("Content-Length"), content_bytes);
    http_write_end(out);
    buffer_add(&c->out, text_out_text(out));
}

void answer_whole(struct connection *c, int status, const char *content_type, struct text content)
{
    char head[HEAD_MAX];
    struct text_out out;

    text_out_init(&out, head, sizeof(head));
    add_head_common(c, &out, status, content_type);
    add_head_end(c, &out, (int64_t)content.len);
    if (c->head.method != METHOD_HEAD)
        buffer_add(&c->out, content);
    connection_end(c, ENDING_KEEP);
}

void answer_error(struct connection *c, int status, const char *code, const char *message)
{
    struct buffer body = {0};

    buffer_add(&body, TEXT("{\"error\":{\"message\":"));
    buffer_json(&body, text_of(message));
    buffer_printf(&body, ",\"type\":\"%s\",\"param\":null,\"code\":",
                  status >= 500 ? "server_error" : "invalid_request_error");
    if (code != NULL)
        buffer_json(&body, text_of(code));
    else
        buffer_add(&body, TEXT("null"));
    buffer_add(&body, TEXT("}}\n"));
    answer_whole(c, status, "application/json", buffer_text(&body));
    buffer_clear(&body, 0);
}

static void add_chunk(struct connection *c, struct text content)
{
    char line[HTTP_CHUNK_BEGIN_MAX + 1];
    struct text_out out;

    if (content.len == 0)
        return;
    text_out_init(&out, line, sizeof(line));
    http_write_chunk_begin(&out, content.len);
    buffer_add(&c->out, text_out_text(&out));
    buffer_add(&c->out, content);
    buffer_add(&c->out, TEXT(HTTP_CHUNK_END));
}

/* Interim answers, and the fields that only answers with images have. */
static void begin_images(struct connection *c, struct text_out *out, char head[HEAD_MAX],
                         const char *content_type)
{
    struct controls *controls = &c->sim->controls;

    if (controls_take(&controls->interim_next))
        buffer_add(&c->out, TEXT("HTTP/1.1 103 Early Hints\r\nLink: </sim>; rel=preload\r\n\r\n"));
    if (controls_take(&controls->close_next))
        c->head.keeps_alive = false;
    text_out_init(out, head, HEAD_MAX);
    add_head_common(c, out, 200, content_type);
}

static enum ending ending_of(enum fault fault)
{
    switch (fault) {
    case FAULT_RESET:
        return ENDING_RESET;
    case FAULT_SHORT:
        return ENDING_CLOSE;
    case FAULT_STALL:
        return ENDING_NONE;
    case FAULT_NONE:
    case FAULT_FAIL:
    case FAULT_HANG:
    case FAULT_DROP:
    case FAULT_GARBAGE:
        break;
    }
    return ENDING_KEEP;
}

/* A body in the shape that the controls ask for; half of it where a fault wants that. */
static void send_images(struct connection *c, struct text body, enum fault fault)
{
    bool is_chunked = c->sim->controls.is_chunked;
    char head[HEAD_MAX];
    struct text_out out;

    begin_images(c, &out, head, "application/json");
    if (c->sim->controls.is_gzip)
        http_write_field(&out, TEXT("Content-Encoding"), TEXT("gzip"));
    add_head_end(c, &out, is_chunked ? -1 : (int64_t)body.len);
    if (fault != FAULT_NONE)
        body.len /= 2;
    for (size_t at = 0; is_chunked && at < body.len; at += CHUNK_SIZE)
        add_chunk(c, (struct text){body.ptr + at, MIN(body.len - at, CHUNK_SIZE)});
    if (is_chunked && fault == FAULT_NONE)
        buffer_add(&c->out, TEXT(HTTP_LAST_CHUNK));
    if (!is_chunked)
        buffer_add(&c->out, body);
    connection_end(c, ending_of(fault));
}

/* The fields that describe image i of a job: its content, or where to fetch it. */
static void add_image(struct connection *c, const struct job *job, int i, struct buffer *body)
{
    const struct ask *ask = &job->ask;
    struct picture picture = {ask->seed + (uint64_t)i, ask->width, ask->height,
                              c->sim->options.image_bytes};

    if (ask->wants_url && !ask->is_streamed) {
        struct text host = head_field(&c->head, TEXT("host"));
        buffer_printf(body, "\"url\":\"http://%.*s/pictures/%016" PRIx64 "-%dx%d.png\"",
                      (int)MIN(host.len, 255U), host.ptr, picture.seed, picture.width,
                      picture.height);
        return;
    }
    buffer_add(body, TEXT("\"b64_json\":\""));
    buffer_add(body, pictures_base64(&c->sim->pictures, &picture));
    buffer_add(body, TEXT("\""));
}

void answer_images(struct connection *c, const struct job *job)
{
    struct buffer body = {0};

    buffer_printf(&body, "{\"created\":%" PRId64 ",\"data\":[",
                  loop_wall_us(c->sim->loop) / 1000000);
    for (int i = 0; i < job->given; i++) {
        buffer_add(&body, i > 0 ? TEXT(",{") : TEXT("{"));
        add_image(c, job, i, &body);
        buffer_add(&body, TEXT("}"));
    }
    buffer_printf(&body, "],\"output_format\":\"png\",\"size\":\"%dx%d\"}\n", job->ask.width,
                  job->ask.height);
    if (c->sim->controls.is_gzip)
        gzip_wrap(&body);
    send_images(c, buffer_text(&body), job->fault);
    buffer_clear(&body, 0);
}

void answer_stream_begin(struct connection *c)
{
    char head[HEAD_MAX];
    struct text_out out;

    begin_images(c, &out, head, "text/event-stream");
    http_write_field(&out, TEXT("Cache-Control"), TEXT("no-store"));
    add_head_end(c, &out, -1);
    connection_flush(c);
}

void answer_stream_event(struct connection *c, const struct job *job)
{
    int events_each = job->ask.partial_images + 1;
    int image = (job->steps_done - 1) / events_each;
    int part = (job->steps_done - 1) % events_each;
    bool is_partial = part < job->ask.partial_images;
    const char *name = is_partial ? "image_generation.partial_image" : "image_generation.completed";
    struct buffer event = {0};

    if (image >= job->given || (job->fault != FAULT_NONE && job->steps_done * 2 > job->steps))
        return;
    buffer_printf(&event, "event: %s\ndata: {\"type\":\"%s\",\"created_at\":%" PRId64 ",", name,
                  name, loop_wall_us(c->sim->loop) / 1000000);
    if (is_partial)
        buffer_printf(&event, "\"partial_image_index\":%d,", part);
    buffer_printf(&event, "\"output_format\":\"png\",\"size\":\"%dx%d\",", job->ask.width,
                  job->ask.height);
    add_image(c, job, image, &event);
    buffer_add(&event, TEXT("}\n\n"));
    add_chunk(c, buffer_text(&event));
    buffer_clear(&event, 0);
    connection_flush(c);
}

void answer_stream_end(struct connection *c, const struct job *job)
{
    if (job->fault == FAULT_NONE)
        buffer_add(&c->out, TEXT(HTTP_LAST_CHUNK));
    connection_end(c, ending_of(job->fault));
}
