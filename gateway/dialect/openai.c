/* SPDX-License-Identifier: Apache-2.0 */
/* openai.c - the Images API of OpenAI.      Runs on: worker. */
#include "dialect/openai.h"

#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "dialect/answer_scan.h"
#include "dialect/json_read.h"
#include "dialect/sse_scan.h"

#define GENERATIONS_PATH "/v1/images/generations"
/* stable-diffusion.cpp reads further arguments from within such a tag in a prompt, among them the number of images. */
#define ARGUMENTS_TAG   "<sd_cpp_extra_args>"
#define WORD_BYTES_MAX  256 /* of model, size, quality */
#define PIXELS_SIDE_MAX 65535

static_assert(JOB_IMAGES_MAX == 10, "the texts below say so");

/*    field            name               what its value must be                              reader */
/* clang-format off */
#define FIELD_TABLE(X)                                                                                     \
    X(N,               "n",               "a whole number from 1 to 10, or null",             read_n)      \
    X(MODEL,           "model",           "a string of at most 256 bytes, or null",           read_model)  \
    X(SIZE,            "size",            "a string of at most 256 bytes, or null",           read_size)   \
    X(QUALITY,         "quality",         "a string of at most 256 bytes, or null",           read_quality) \
    X(RESPONSE_FORMAT, "response_format", "a string of at most 256 bytes, or null",           read_format) \
    X(STREAM,          "stream",          "true, false or null",                              read_stream) \
    X(PROMPT,          "prompt",          "without the tag " ARGUMENTS_TAG,                   read_prompt)
/* clang-format on */

enum field {
    FIELD_NONE,
#define X(id, name, expected, reader) FIELD_##id,
    FIELD_TABLE(X)
#undef X
};

/* One classification at work. */
struct reading {
    struct arena *arena;
    struct job job;
    enum field next; /* the value to come is that of this field */
    uint32_t seen;   /* bit i: field i was there */
    bool is_out_of_memory;
    struct complaint why;
};

/* --- what is asked ---------------------------------------------------------------------------------------------------- */

static enum operation matches(const struct http_head *head)
{
    bool is_counted = head->method == METHOD_POST && text_equal(head->path, TEXT(GENERATIONS_PATH));

    return is_counted ? OPERATION_GENERATE : OPERATION_NONE;
}

/* Readers of one value: false when it is not what the table says. */

static bool read_n(struct reading *r, enum json_kind kind, struct text text)
{
    uint64_t n = 1;

    if (kind == JSON_NULL)
        return true;
    if (kind != JSON_NUMBER || text_to_u64(text, &n) || n < 1 || n > JOB_IMAGES_MAX)
        return false;
    r->job.images = (int64_t)n;
    return true;
}

static bool read_word(struct reading *r, enum json_kind kind, struct text text, struct text *out)
{
    if (kind == JSON_NULL)
        return true;
    if (kind != JSON_STRING || text.len > WORD_BYTES_MAX)
        return false;
    *out = arena_copy(r->arena, text);
    r->is_out_of_memory = out->ptr == NULL;
    return true;
}

static bool read_model(struct reading *r, enum json_kind kind, struct text text)
{
    return read_word(r, kind, text, &r->job.model);
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* One side of a size, with blanks around it; -1: none, or one that is too long. */
static int64_t take_side(const char **at, const char *end)
{
    const char *begin = skip_blanks(*at, end);
    const char *p = begin;
    int64_t side = 0;

    for (; p < end && *p >= '0' && *p <= '9'; p++)
        side = MIN(side * 10 + (*p - '0'), PIXELS_SIDE_MAX + 1);
    *at = skip_blanks(p, end);
    return p > begin && side <= PIXELS_SIDE_MAX ? side : -1;
}

/* Pixels of one image from "1024x1536"; 0 for all else, such as "auto". */
static int64_t pixels_of(struct text size)
{
    const char *at = size.ptr;
    const char *end = size.ptr + size.len;
    int64_t width = take_side(&at, end);

    if (width < 0 || at == end || *at++ != 'x')
        return 0;
    int64_t height = take_side(&at, end);
    if (at < end && *at == 'x') /* one more at the end changes nothing */
        at++;
    return height >= 0 && at == end ? width * height : 0;
}

static bool read_size(struct reading *r, enum json_kind kind, struct text text)
{
    if (kind == JSON_STRING)
        r->job.pixels = pixels_of(text);
    return kind == JSON_NULL || (kind == JSON_STRING && text.len <= WORD_BYTES_MAX);
}

static bool read_quality(struct reading *r, enum json_kind kind, struct text text)
{
    return read_word(r, kind, text, &r->job.quality);
}

static bool read_format(struct reading *r, enum json_kind kind, struct text text)
{
    UNUSED(r);
    return kind == JSON_NULL || (kind == JSON_STRING && text.len <= WORD_BYTES_MAX);
}

static bool read_stream(struct reading *r, enum json_kind kind, struct text text)
{
    UNUSED(text);
    r->job.is_streamed = kind == JSON_TRUE;
    return kind == JSON_TRUE || kind == JSON_FALSE || kind == JSON_NULL;
}

static bool read_prompt(struct reading *r, enum json_kind kind, struct text text)
{
    UNUSED(r);
    if (kind != JSON_STRING || text.len < sizeof(ARGUMENTS_TAG) - 1)
        return true;
    /* Hardly a prompt has a tag, and memmem() begins by reading all of its needle. */
    return !memchr(text.ptr, ARGUMENTS_TAG[0], text.len) ||
           !memmem(text.ptr, text.len, ARGUMENTS_TAG, sizeof(ARGUMENTS_TAG) - 1);
}

/* A row of the table, with the sentences about it. */
static const struct field_row {
    struct text name;
    bool (*read)(struct reading *r, enum json_kind kind, struct text text);
    struct text is_wrong;
    struct text is_twice;
    struct text is_misspelt;
} rows[] = {
#define X(id, name, expected, reader)                                                              \
    [FIELD_##id] = {TEXT(name), reader, TEXT("'" name "' must be " expected "."),                  \
                    TEXT("'" name "' is given more than once."),                                   \
                    TEXT("The name '" name "' must be written in lower case.")},
    FIELD_TABLE(X)
#undef X
};

/* Always false, for a token function to stop the parse with. */
static bool complain(struct reading *r, struct text param, struct text code, struct text message)
{
    r->why = (struct complaint){message, param, code};
    return false;
}

static enum field field_of(struct text key)
{
#define X(id, name, expected, reader)                                                              \
    if (text_equal(key, TEXT(name)))                                                               \
        return FIELD_##id;
    FIELD_TABLE(X)
#undef X
    return FIELD_NONE;
}

static bool take_other_key(struct reading *r, struct text key)
{
    for (enum field i = FIELD_NONE + 1; i < ARRAY_LEN(rows); i++)
        if (text_equal_nocase(key, rows[i].name))
            return complain(r, rows[i].name, TEXT("invalid_name"), rows[i].is_misspelt);
    return true;
}

static bool take_key(struct reading *r, struct text key)
{
    enum field field = field_of(key);
    uint32_t bit = UINT32_C(1) << field;

    r->next = field;
    if (field == FIELD_NONE)
        return take_other_key(r, key);
    if (r->seen & bit)
        return complain(r, rows[field].name, TEXT("duplicate_name"), rows[field].is_twice);
    r->seen |= bit;
    return true;
}

static bool take_value(struct reading *r, enum json_kind kind, struct text text)
{
    const struct field_row *row = &rows[r->next];

    if (r->next == FIELD_NONE)
        return true;
    r->next = FIELD_NONE;
    if (!row->read(r, kind, text))
        return complain(r, row->name, TEXT("invalid_value"), row->is_wrong);
    return !r->is_out_of_memory;
}

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct reading *r = owner;

    if (depth == 1)
        return kind == JSON_KEY ? take_key(r, text) : take_value(r, kind, text);
    if (depth == 0 && kind != JSON_OBJECT_BEGIN && kind != JSON_OBJECT_END)
        return complain(r, TEXT_NONE, TEXT_NONE, TEXT("The body must be a JSON object."));
    return true;
}

/* The media type of a Content-Type value, without its parameters. */
static struct text media_type(struct text content_type)
{
    struct text type = TEXT_NONE;

    (void)text_next(&content_type, ';', &type);
    return type;
}

static bool is_json(struct text content_type)
{
    struct text suffix = TEXT("+json");

    if (text_equal(content_type, TEXT("application/json")))
        return true;
    struct text type = media_type(content_type);
    if (text_equal_nocase(type, TEXT("application/json")))
        return true;
    if (type.len <= suffix.len)
        return false;
    struct text end = {type.ptr + type.len - suffix.len, suffix.len};
    return text_equal_nocase(end, suffix);
}

static bool is_encoded(const struct http_head *head)
{
    struct text encoding = head_value(head, NAME_CONTENT_ENCODING);

    return head_repeats(head, NAME_CONTENT_ENCODING) ||
           (encoding.len > 0 && !text_equal_nocase(encoding, TEXT("identity")));
}

static struct text broken_at(struct arena *arena, size_t offset)
{
    char buf[96];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    text_out_printf(&out, "The body is not valid JSON, from byte %zu on.", offset);
    struct text message = arena_copy(arena, text_out_text(&out));
    return message.ptr ? message : TEXT("The body is not valid JSON.");
}

static enum status classify(const struct http_head *head, struct text body, struct arena *arena,
                            struct job *out, struct complaint *why)
{
    struct reading r = {.arena = arena, .job = {.operation = OPERATION_GENERATE, .images = 1}};
    size_t offset = 0;

    if (head_repeats(head, NAME_CONTENT_TYPE) || !is_json(head_value(head, NAME_CONTENT_TYPE))) {
        *why = (struct complaint){.message = TEXT("The Content-Type must be application/json.")};
        return ST_INVALID;
    }
    if (is_encoded(head)) {
        *why = (struct complaint){.message = TEXT("The body must come without Content-Encoding.")};
        return ST_INVALID;
    }
    enum status st = json_read(body, on_token, &r, &offset);
    if (st == ST_OK) {
        *out = r.job;
        return ST_OK;
    }
    if (st != ST_INVALID || r.is_out_of_memory)
        return ST_NOMEM;
    *why = r.why;
    if (!why->message.ptr)
        why->message = broken_at(arena, offset);
    return ST_INVALID;
}

/* --- what is answered ------------------------------------------------------------------------------------------------- */

/* The counter's state.  It is copied in and out, so that the counter needs to know neither. */
union scan {
    struct answer_scan answer;
    struct sse_scan events;
};

static_assert(sizeof(union scan) <= sizeof(((struct counter *)0)->state), "a scan fits a counter");

static void count_begin(struct counter *counter, const struct job *job,
                        const struct http_head *answer)
{
    struct text type = head_value(answer, NAME_CONTENT_TYPE);
    bool is_document = is_json(type);
    union scan scan;

    UNUSED(job); /* what comes counts, not what was asked for: some backends do not stream */
    memset(&scan, 0, sizeof(scan));
    counter->is_streamed =
        !is_document && text_equal_nocase(media_type(type), TEXT("text/event-stream"));
    counter->is_countable = !is_encoded(answer) && (counter->is_streamed || is_document);
    counter->images = 0;
    counter->is_whole = false;
    if (counter->is_streamed)
        sse_scan_init(&scan.events);
    else
        answer_scan_init(&scan.answer);
    memcpy(counter->state, &scan, sizeof(scan));
}

static void count_feed(struct counter *counter, struct text content)
{
    union scan scan;

    if (!counter->is_countable)
        return;
    memcpy(&scan, counter->state, sizeof(scan));
    if (counter->is_streamed)
        sse_scan_feed(&scan.events, content);
    else
        answer_scan_feed(&scan.answer, content);
    counter->images = counter->is_streamed ? scan.events.images : scan.answer.images;
    memcpy(counter->state, &scan, sizeof(scan));
}

static int64_t count_end(struct counter *counter, bool is_cut)
{
    union scan scan;

    if (!counter->is_countable)
        return -1;
    counter->is_whole = !is_cut;
    if (counter->is_streamed)
        return counter->images;
    memcpy(&scan, counter->state, sizeof(scan));
    int64_t images = answer_scan_end(&scan.answer, is_cut);
    counter->is_whole = json_scan_is_done(&scan.answer.json);
    counter->is_countable = images >= 0;
    return images;
}

static void member(struct text_out *body, const char *begin, struct text value)
{
    text_out_add(body, text_of(begin));
    if (value.ptr)
        json_out_string(body, value);
    else
        text_out_add(body, TEXT("null"));
}

static void refuse(const struct refusal *refusal, struct text_out *body)
{
    member(body, "{\"error\":{\"message\":", refusal->message.ptr ? refusal->message : TEXT(""));
    member(body, ",\"type\":", text_of(refusal->type ? refusal->type : "invalid_request_error"));
    member(body, ",\"param\":", refusal->param);
    member(body, ",\"code\":", text_of(refusal->code));
    text_out_add(body, TEXT("}}"));
}

const struct dialect dialect_openai = {
    .name = "openai",
    .matches = matches,
    .classify = classify,
    .count_begin = count_begin,
    .count_feed = count_feed,
    .count_end = count_end,
    .refuse = refuse,
    .refusal_content_type = "application/json",
};
