/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.c - bodies of requests: whatever comes, a job has 1 to 10 images or there is a complaint, and the answer to it
 * is JSON again. */
#include <string.h>

#include "base/json.h"
#include "dialect/dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    int *open = owner;

    if (kind == JSON_OBJECT_END || kind == JSON_ARRAY_END)
        (*open)--;
    ASSERT(depth == *open && (text.len == 0 || text.ptr != NULL));
    if (kind == JSON_OBJECT_BEGIN || kind == JSON_ARRAY_BEGIN)
        (*open)++;
    return true;
}

static bool is_json(struct text t)
{
    int open = 0;

    return json_parse(t, on_token, &open, NULL) == ST_OK;
}

/* A message of any bytes must leave a refusal well-formed. */
static void refuse(struct text message, struct text param)
{
    static char buf[1 << 20];
    struct refusal refusal = {.status = 400, .message = message, .param = param, .reason = "x"};
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    dialect_find(TEXT("openai"))->refuse(&refusal, &out);
    ASSERT(out.is_full || is_json(text_out_text(&out)));
    text_out_init(&out, buf, sizeof(buf));
    problem_refuse(&refusal, &out);
    ASSERT(out.is_full || is_json(text_out_text(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct text body = {(const char *)bytes, len};
    struct http_head head = {.method = METHOD_POST, .fields_len = 1};
    struct arena arena;
    struct job job = {.images = 0};
    struct complaint why = {.message = TEXT_NONE};

    head.fields[0] =
        (struct http_field){.name = TEXT("content-type"), .value = TEXT("application/json")};
    arena_init(&arena, 65536);
    enum status st = dialect_find(TEXT("openai"))->classify(&head, body, &arena, &job, &why);
    ASSERT(st == ST_OK || st == ST_INVALID);
    if (st == ST_OK)
        ASSERT(is_json(body) && job.images >= 1 && job.images <= JOB_IMAGES_MAX);
    else
        ASSERT(why.message.len > 0);
    refuse(why.message, why.param);
    refuse(body, body);
    (void)problem_is_preferred(body);
    arena_fini(&arena);
    return 0;
}
