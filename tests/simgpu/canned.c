/* SPDX-License-Identifier: Apache-2.0 */
/* canned.c - see canned.h. */
#include "simgpu/canned.h"

#include <string.h>

#include "http/writer.h"
#include "simgpu/sim.h"

#define CANNED_SEED 1
#define CANNED_SIDE 1024
#define BODY_MAX    65536

static void make(struct sim *sim, int images, struct buffer *answer)
{
    struct picture picture = {CANNED_SEED, CANNED_SIDE, CANNED_SIDE, sim->options.image_bytes};
    struct text base64 = pictures_base64(&sim->pictures, &picture);
    struct buffer body = {0};
    char head[512];
    struct text_out out;

    buffer_add(&body, TEXT("{\"created\":1790000000,\"data\":["));
    for (int i = 0; i < images; i++) {
        buffer_add(&body, i > 0 ? TEXT(",{\"b64_json\":\"") : TEXT("{\"b64_json\":\""));
        buffer_add(&body, base64);
        buffer_add(&body, TEXT("\"}"));
    }
    buffer_add(&body, TEXT("],\"output_format\":\"png\",\"size\":\"1024x1024\"}\n"));
    text_out_init(&out, head, sizeof(head));
    http_write_status(&out, 200);
    http_write_field(&out, TEXT("Content-Type"), TEXT("application/json"));
    http_write_int_field(&out, TEXT("Content-Length"), (int64_t)body.len);
    http_write_end(&out);
    buffer_add(answer, text_out_text(&out));
    buffer_add(answer, buffer_text(&body));
    buffer_clear(&body, 0);
}

/* The number behind "n":, 1 where there is none, 0 where it is no plain number in range. */
static int find_n(struct text body)
{
    const char *end = body.ptr + body.len;
    const char *at = memmem(body.ptr, body.len, "\"n\"", 3);

    if (at == NULL)
        return 1;
    at += 3;
    while (at < end && (*at == ' ' || *at == ':'))
        at++;
    int n = 0;
    while (at < end && *at >= '0' && *at <= '9' && n <= ASK_IMAGES_MAX)
        n = n * 10 + *at++ - '0';
    return n <= ASK_IMAGES_MAX ? n : 0;
}

struct text canned_answer(struct sim *sim, struct text body, int *out_images)
{
    bool is_plain = sim->options.image_bytes > 0 && controls_are_plain(&sim->controls);

    if (!is_plain || body.len == 0 || body.len > BODY_MAX ||
        memmem(body.ptr, body.len, "\"stream\"", 8) != NULL)
        return TEXT_NONE;
    int images = find_n(body);
    if (images == 0)
        return TEXT_NONE;
    struct buffer *answer = &sim->canned.answers[images];
    if (answer->len == 0)
        make(sim, images, answer);
    *out_images = images;
    return buffer_text(answer);
}

void canned_fini(struct canned *canned)
{
    for (size_t i = 0; i < ARRAY_LEN(canned->answers); i++)
        buffer_clear(&canned->answers[i], 0);
}
