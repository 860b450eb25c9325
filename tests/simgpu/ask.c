/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c - see ask.h. */
#include "simgpu/ask.h"

#include <stdio.h>

#include "base/json.h"
#include "simgpu/picture.h"
#include "simgpu/scene.h"

#define SIDE_INITIAL 1024

enum field {
    FIELD_OTHER,
    FIELD_N,
    FIELD_SIZE,
    FIELD_PROMPT,
    FIELD_STREAM,
    FIELD_PARTIAL,
    FIELD_FORMAT
};

struct reader {
    struct ask ask;
    enum field field;
    const char *wrong; /* the field at fault */
};

static enum field field_of(struct text key)
{
    if (text_equal(key, TEXT("n")))
        return FIELD_N;
    if (text_equal(key, TEXT("size")))
        return FIELD_SIZE;
    if (text_equal(key, TEXT("prompt")))
        return FIELD_PROMPT;
    if (text_equal(key, TEXT("stream")))
        return FIELD_STREAM;
    if (text_equal(key, TEXT("partial_images")))
        return FIELD_PARTIAL;
    if (text_equal(key, TEXT("response_format")))
        return FIELD_FORMAT;
    return FIELD_OTHER;
}

static bool take_int(enum json_kind kind, struct text t, int low, int high, int *out)
{
    uint64_t value;

    if (kind == JSON_NULL)
        return true;
    if (kind != JSON_NUMBER || text_to_u64(t, &value) || value < (uint64_t)low ||
        value > (uint64_t)high)
        return false;
    *out = (int)value;
    return true;
}

static bool take_size(enum json_kind kind, struct text t, struct ask *ask)
{
    if (kind == JSON_NULL || (kind == JSON_STRING && text_equal(t, TEXT("auto"))))
        return true;
    return kind == JSON_STRING && ask_parse_size(t, &ask->width, &ask->height) == ST_OK;
}

static bool take_prompt(enum json_kind kind, struct text t, struct ask *ask)
{
    if (kind != JSON_STRING)
        return false;
    ask->has_prompt = true;
    ask->seed = scene_seed(t.ptr, t.len);
    return true;
}

static bool take_format(enum json_kind kind, struct text t, struct ask *ask)
{
    ask->wants_url = kind == JSON_STRING && text_equal(t, TEXT("url"));
    return ask->wants_url || kind == JSON_NULL ||
           (kind == JSON_STRING && text_equal(t, TEXT("b64_json")));
}

static bool take(struct reader *reader, enum json_kind kind, struct text t)
{
    struct ask *ask = &reader->ask;

    switch (reader->field) {
    case FIELD_OTHER:
        return true;
    case FIELD_N:
        reader->wrong = "n";
        return take_int(kind, t, 1, ASK_IMAGES_MAX, &ask->images);
    case FIELD_SIZE:
        reader->wrong = "size";
        return take_size(kind, t, ask);
    case FIELD_PROMPT:
        reader->wrong = "prompt";
        return take_prompt(kind, t, ask);
    case FIELD_STREAM:
        reader->wrong = "stream";
        ask->is_streamed = kind == JSON_TRUE;
        return kind == JSON_TRUE || kind == JSON_FALSE || kind == JSON_NULL;
    case FIELD_PARTIAL:
        reader->wrong = "partial_images";
        return take_int(kind, t, 0, 3, &ask->partial_images);
    case FIELD_FORMAT:
        reader->wrong = "response_format";
        return take_format(kind, t, ask);
    }
    return false;
}

static bool on_token(void *owner, enum json_kind kind, struct text t, int depth)
{
    struct reader *reader = owner;

    if (depth == 0)
        return kind == JSON_OBJECT_BEGIN || kind == JSON_OBJECT_END;
    if (depth > 1)
        return true;
    if (kind == JSON_KEY) {
        reader->field = field_of(t);
        return true;
    }
    if (!take(reader, kind, t))
        return false;
    reader->wrong = NULL;
    return true;
}

enum status ask_parse(struct text body, struct ask *out, char error[200])
{
    struct reader reader = {.ask = {.images = 1, .width = SIDE_INITIAL, .height = SIDE_INITIAL}};
    enum status st = json_parse(body, on_token, &reader, NULL);

    if (st == ST_OK && !reader.ask.has_prompt) {
        reader.wrong = "prompt";
        st = ST_INVALID;
    }
    if (st == ST_OK)
        *out = reader.ask;
    else if (reader.wrong != NULL)
        snprintf(error, 200, "Invalid value for '%s'.", reader.wrong);
    else
        snprintf(error, 200, "The body is not a JSON object.");
    return st;
}

enum status ask_parse_size(struct text t, int *out_width, int *out_height)
{
    struct text rest = t;
    struct text side;
    uint64_t width, height;

    if (!text_next(&rest, 'x', &side) || text_to_u64(side, &width) || text_to_u64(rest, &height))
        return ST_INVALID;
    if (width < 1 || width > PICTURE_SIDE_MAX || height < 1 || height > PICTURE_SIDE_MAX)
        return ST_INVALID;
    *out_width = (int)width;
    *out_height = (int)height;
    return ST_OK;
}
