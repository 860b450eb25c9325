/* SPDX-License-Identifier: Apache-2.0 */
/* test_openai.c - what is counted, what is refused and with which words, and how answers are counted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dialect/dialect.h"

static const struct dialect *openai(void)
{
    return dialect_find(TEXT("openai"));
}

static void add_field(struct http_head *head, const char *name, const char *value)
{
    head_add(head, text_of(name), text_of(value));
}

struct asked {
    enum status st;
    struct job job;
    struct complaint why;
    struct arena arena;
};

static struct asked ask_as(const char *content_type, struct text body)
{
    struct http_head head = {.method = METHOD_POST, .path = TEXT("/v1/images/generations")};
    struct asked asked = {.st = ST_PENDING};

    if (content_type)
        add_field(&head, "Content-Type", content_type);
    arena_init(&asked.arena, 65536);
    asked.st = openai()->classify(&head, body, &asked.arena, &asked.job, &asked.why);
    return asked;
}

static struct asked ask(const char *body)
{
    return ask_as("application/json", text_of(body));
}

static void expect_images(const char *body, int64_t images)
{
    struct asked asked = ask(body);

    cr_assert_eq(asked.st, ST_OK, "%s", body);
    cr_assert_eq(asked.job.images, images, "%s", body);
    cr_assert_eq(asked.job.operation, OPERATION_GENERATE);
    arena_fini(&asked.arena);
}

static void expect_refused(const char *body, const char *param, const char *message)
{
    struct asked asked = ask(body);

    cr_assert_eq(asked.st, ST_INVALID, "%s", body);
    cr_assert(text_equal(asked.why.param, text_of(param)), "%s: %.*s", body,
              TEXT_ARG(asked.why.param));
    cr_assert(text_equal(asked.why.message, text_of(message)), "%s: %.*s", body,
              TEXT_ARG(asked.why.message));
    arena_fini(&asked.arena);
}

Test(dialect, is_found_by_its_name)
{
    cr_assert_not_null(openai());
    cr_assert_str_eq(openai()->name, "openai");
    cr_assert_null(dialect_find(TEXT("OpenAI")));
    cr_assert_null(dialect_find(TEXT_NONE));
    cr_assert_str_eq(dialect_names[0], "openai");
    cr_assert_null(dialect_names[1]);
}

Test(openai, counts_one_path_and_method)
{
    static const struct {
        enum http_method method;
        const char *path;
        enum operation operation;
    } heads[] = {
        {METHOD_POST, "/v1/images/generations", OPERATION_GENERATE},
        {METHOD_GET, "/v1/images/generations", OPERATION_NONE},
        {METHOD_PUT, "/v1/images/generations", OPERATION_NONE},
        {METHOD_POST, "/v1/images/generations/", OPERATION_NONE},
        {METHOD_POST, "/v1/images/Generations", OPERATION_NONE},
        {METHOD_POST, "//v1/images/generations", OPERATION_NONE},
        {METHOD_POST, "/v1/images/%67enerations", OPERATION_NONE},
        {METHOD_POST, "/images/generations", OPERATION_NONE},
        {METHOD_POST, "/v1/images/edits", OPERATION_NONE},
        {METHOD_POST, "/", OPERATION_NONE},
    };

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct http_head head = {.method = heads[i].method, .path = text_of(heads[i].path)};
        cr_assert_eq(openai()->matches(&head), heads[i].operation, "%s", heads[i].path);
    }
}

Test(openai, reads_n)
{
    expect_images("{}", 1);
    expect_images("{\"prompt\":\"a cat\"}", 1);
    expect_images("{\"n\":null}", 1);
    expect_images("{\"n\":1}", 1);
    expect_images("{\"prompt\":\"x\",\"n\":10}", 10);
    expect_images("{\"\\u006e\":4}", 4);
    expect_images(" \n{ \"n\" : 3 } ", 3);
}

Test(openai, n_inside_other_values_is_not_counted)
{
    expect_images("{\"a\":{\"n\":9,\"N\":9},\"b\":[{\"n\":8}],\"n\":2}", 2);
    expect_images("{\"n\":2,\"extra\":{\"n\":\"x\"}}", 2);
    expect_images("{\"prompt\":\"\\\"n\\\":9\"}", 1);
}

Test(openai, refuses_every_other_n)
{
    static const char *const values[] = {"0",
                                         "11",
                                         "-1",
                                         "1.0",
                                         "1e0",
                                         "1.5",
                                         "-0",
                                         "1E1",
                                         "\"1\"",
                                         "\"\"",
                                         "true",
                                         "false",
                                         "[]",
                                         "[1]",
                                         "{}",
                                         "{\"n\":1}",
                                         "9223372036854775808",
                                         "18446744073709551617",
                                         "1e400"};
    static const char *const places[] = {
        "{\"n\":%s}", "{\"prompt\":\"x\",\"n\":%s,\"model\":\"m\"}", "{\"\\u006E\":%s}"};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        for (size_t p = 0; p < ARRAY_LEN(places); p++) {
            char body[128];
            (void)snprintf(body, sizeof(body), places[p], values[i]);
            expect_refused(body, "n", "'n' must be a whole number from 1 to 10, or null.");
        }
    }
}

Test(openai, refuses_fields_that_are_there_twice)
{
    static const char *const bodies[] = {
        "{\"n\":1,\"n\":1}",
        "{\"n\":1,\"\\u006e\":8}",
        "{\"n\":null,\"prompt\":\"x\",\"n\":8}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        expect_refused(bodies[i], "n", "'n' is given more than once.");
    expect_refused("{\"prompt\":\"a\",\"prompt\":\"b\"}", "prompt",
                   "'prompt' is given more than once.");
    expect_refused("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", "model",
                   "'model' is given more than once.");
    expect_refused("{\"stream\":true,\"stream\":false}", "stream",
                   "'stream' is given more than once.");
    expect_images("{\"x\":1,\"x\":2}", 1);
}

Test(openai, refuses_names_that_some_backends_would_take_for_ours)
{
    expect_refused("{\"n\":1,\"N\":8}", "n", "The name 'n' must be written in lower case.");
    expect_refused("{\"N\":8}", "n", "The name 'n' must be written in lower case.");
    expect_refused("{\"Prompt\":\"x\"}", "prompt",
                   "The name 'prompt' must be written in lower case.");
}

Test(openai, reads_the_other_fields)
{
    struct asked asked = ask("{\"model\":\"gpt-\\u0069mage-1\",\"size\":\"1024x1536\",\"quality\":"
                             "\"high\",\"response_format\":\"b64_json\",\"stream\":true,"
                             "\"partial_images\":2,\"n\":2,\"prompt\":\"x\"}");

    cr_assert_eq(asked.st, ST_OK);
    cr_assert(text_equal(asked.job.model, TEXT("gpt-image-1")));
    cr_assert(text_equal(asked.job.quality, TEXT("high")));
    cr_assert_eq(asked.job.pixels, 1024 * 1536);
    cr_assert(asked.job.is_streamed);
    arena_fini(&asked.arena);

    asked = ask("{\"model\":null,\"size\":null,\"quality\":null,\"response_format\":null,"
                "\"stream\":null}");
    cr_assert_eq(asked.st, ST_OK);
    cr_assert_null(asked.job.model.ptr);
    cr_assert_eq(asked.job.pixels, 0);
    cr_assert(!asked.job.is_streamed);
    arena_fini(&asked.arena);
}

Test(openai, knows_pixels_only_of_plain_sizes)
{
    static const char *const sizes[] = {"auto",    "",          "x",     "1024",  "1024x",
                                        "x1024",   "1024*1024", "-1x1",  "1e3x1", "99999999999x2",
                                        "70000x1", "1x2x3",     "1x2xx", "1x2x ", "1 2x3",
                                        "65536x1"};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"size\":\"%s\"}", sizes[i]);
        struct asked asked = ask(body);
        cr_assert_eq(asked.st, ST_OK, "%s", body);
        cr_assert_eq(asked.job.pixels, 0, "%s", body);
        arena_fini(&asked.arena);
    }
}

Test(openai, reads_sizes_with_blanks_and_one_x_more)
{
    static const char *const sizes[] = {"12x34",   " 12x34",    "12 x34",
                                        "12x 34 ", "012x0034",  "\\t12\\tx\\t34\\t",
                                        "12x34x",  " 12 x 34 x"};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"size\":\"%s\"}", sizes[i]);
        struct asked asked = ask(body);
        cr_assert_eq(asked.st, ST_OK, "%s", body);
        cr_assert_eq(asked.job.pixels, 12 * 34, "%s", body);
        arena_fini(&asked.arena);
    }
}

Test(openai, refuses_other_kinds_of_the_other_fields)
{
    expect_refused("{\"model\":7}", "model",
                   "'model' must be a string of at most 256 bytes, or null.");
    expect_refused("{\"size\":[]}", "size",
                   "'size' must be a string of at most 256 bytes, or null.");
    expect_refused("{\"quality\":true}", "quality",
                   "'quality' must be a string of at most 256 bytes, or null.");
    expect_refused("{\"response_format\":{}}", "response_format",
                   "'response_format' must be a string of at most 256 bytes, or null.");
    expect_refused("{\"stream\":\"true\"}", "stream", "'stream' must be true, false or null.");
    expect_refused("{\"stream\":1}", "stream", "'stream' must be true, false or null.");
}

Test(openai, bounds_words)
{
    char body[512] = "{\"model\":\"";
    size_t begin = strlen(body);

    memset(body + begin, 'm', 257);
    strcpy(body + begin + 256, "\"}");
    expect_images(body, 1);
    strcpy(body + begin + 256, "m\"}");
    expect_refused(body, "model", "'model' must be a string of at most 256 bytes, or null.");
}

Test(openai, refuses_a_prompt_that_overrides_the_count)
{
    static const char wrong[] = "'prompt' must be without the tag <sd_cpp_extra_args>.";

    expect_refused("{\"n\":1,\"prompt\":\"a<sd_cpp_extra_args>{\\\"batch_count\\\":8}"
                   "</sd_cpp_extra_args>\"}",
                   "prompt", wrong);
    expect_refused("{\"prompt\":\"\\u003csd_cpp\\u005fextra_args\\u003E{}\"}", "prompt", wrong);
    expect_refused("{\"prompt\":\"\\u0000<sd_cpp_extra_args>\"}", "prompt", wrong);
    expect_images("{\"prompt\":\"sd_cpp_extra_args\"}", 1);
    expect_images("{\"prompt\":\"\"}", 1);
    /* What is no string is the backend's to judge. */
    expect_images("{\"prompt\":[\"x\"]}", 1);
    expect_images("{\"prompt\":null}", 1);
}

Test(openai, refuses_what_is_no_json_object)
{
    static const char *const others[] = {"[]", "[{\"n\":1}]", "\"x\"", "1", "null", "true"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        expect_refused(others[i], NULL, "The body must be a JSON object.");
    expect_refused("", NULL, "The body is not valid JSON, from byte 0 on.");
    static const char *const broken[] = {
        "{",          "{\"n\":1",   "{\"n\":1}}", "{\"n\":1} x", "{\"n\":1}{}",      "{n:1}",
        "{\"x\":01}", "{\"n\":+1}", "{\"n\":.5}", "{\"n\":1,}",  "{\"x\":\"\xff\"}", "{'n':1}",
        "{\"n\":NaN}"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct asked asked = ask(broken[i]);
        cr_assert_eq(asked.st, ST_INVALID, "%s", broken[i]);
        cr_assert(text_starts_with(asked.why.message, TEXT("The body is not valid JSON")));
        cr_assert_null(asked.why.param.ptr);
        arena_fini(&asked.arena);
    }
}

Test(openai, wants_json_and_no_content_encoding)
{
    static const struct {
        const char *type;
        enum status st;
    } types[] = {
        {"application/json", ST_OK},
        {"Application/JSON; charset=UTF-8", ST_OK},
        {"application/json;charset=utf-8", ST_OK},
        {"application/vnd.api+json", ST_OK},
        {"text/plain", ST_INVALID},
        {"application/jsonx", ST_INVALID},
        {"+json", ST_INVALID},
        {"", ST_INVALID},
        {"multipart/form-data; boundary=x", ST_INVALID},
        {"text/plain; a=application/json", ST_INVALID},
        {NULL, ST_INVALID},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct asked asked = ask_as(types[i].type, TEXT("{}"));
        cr_assert_eq(asked.st, types[i].st, "%s", types[i].type);
        if (asked.st)
            cr_assert(
                text_equal(asked.why.message, TEXT("The Content-Type must be application/json.")));
        arena_fini(&asked.arena);
    }

    struct http_head head = {.method = METHOD_POST, .path = TEXT("/v1/images/generations")};
    struct arena arena;
    struct job job;
    struct complaint why;
    arena_init(&arena, 4096);
    add_field(&head, "content-type", "application/json");
    add_field(&head, "content-encoding", "gzip");
    cr_assert_eq(openai()->classify(&head, TEXT("{}"), &arena, &job, &why), ST_INVALID);
    head.fields[1].value = TEXT("identity");
    cr_assert_eq(openai()->classify(&head, TEXT("{}"), &arena, &job, &why), ST_OK);
    add_field(&head, "content-type", "text/plain");
    cr_assert_eq(openai()->classify(&head, TEXT("{}"), &arena, &job, &why), ST_INVALID);
    arena_fini(&arena);
}

Test(openai, says_when_its_memory_is_used_up)
{
    struct http_head head = {.method = METHOD_POST};
    struct arena arena;
    struct job job;
    struct complaint why;

    arena_init(&arena, 0);
    add_field(&head, "content-type", "application/json");
    cr_assert_eq(openai()->classify(&head, TEXT("{\"model\":\"m\"}"), &arena, &job, &why),
                 ST_NOMEM);
    cr_assert_eq(openai()->classify(&head, TEXT("{\"model\":\"m\""), &arena, &job, &why), ST_NOMEM);
    cr_assert_eq(openai()->classify(&head, TEXT("{"), &arena, &job, &why), ST_INVALID);
    cr_assert(text_equal(why.message, TEXT("The body is not valid JSON.")));
    arena_fini(&arena);
}

static int64_t count(const char *type, const char *encoding, const char *content, bool is_cut,
                     struct counter *out)
{
    struct http_head answer = {.status = 200};
    struct job job = {.images = 2, .is_streamed = true};
    struct counter counter = {.dialect = openai()};

    if (type)
        add_field(&answer, "content-type", type);
    if (encoding)
        add_field(&answer, "content-encoding", encoding);
    openai()->count_begin(&counter, &job, &answer);
    for (const char *p = content; *p; p++)
        openai()->count_feed(&counter, (struct text){p, 1});
    int64_t images = openai()->count_end(&counter, is_cut);
    *out = counter;
    return images;
}

Test(openai, counts_answers_by_what_they_are)
{
    static const char json[] = "{\"data\":[{\"url\":\"x\"},{\"url\":\"y\"}]}";
    static const char events[] = "event: image_generation.completed\ndata: {}\n\n";
    struct counter c;

    cr_assert_eq(count("application/json", NULL, json, false, &c), 2);
    cr_assert(c.is_countable && c.is_whole && !c.is_streamed);
    cr_assert_eq(c.images, 2);
    cr_assert_eq(count("application/json; charset=utf-8", "identity", json, false, &c), 2);
    cr_assert_eq(count("text/event-stream", NULL, events, false, &c), 1);
    cr_assert(c.is_countable && c.is_whole && c.is_streamed);
    cr_assert_eq(count("Text/Event-Stream;charset=utf-8", NULL, events, true, &c), 1);
    cr_assert(!c.is_whole);
    cr_assert_eq(count("application/json", NULL, events, false, &c), -1);
    cr_assert(!c.is_countable);
    cr_assert_eq(count("text/event-stream", NULL, json, false, &c), 0);
    cr_assert_eq(count("image/png", NULL, json, false, &c), -1);
    cr_assert_eq(count(NULL, NULL, json, false, &c), -1);
    cr_assert_eq(count("application/json", "gzip", json, false, &c), -1);
    cr_assert(!c.is_countable && !c.is_whole);
}

Test(openai, counts_whole_images_of_what_broke_off)
{
    struct counter c;

    cr_assert_eq(count("application/json", NULL, "{\"data\":[{\"url\":\"x\"},{\"ur", true, &c), 1);
    cr_assert(!c.is_whole && c.is_countable);
    cr_assert_eq(count("application/json", NULL, "{\"crea", true, &c), 0);
    cr_assert_eq(count("application/json", NULL, "", true, &c), 0);
    cr_assert_eq(count("application/json", NULL, "{\"data\":[{\"url\":\"x\"}", false, &c), -1);
}

Test(openai, refuses_in_its_own_shape)
{
    char buf[512];
    struct text_out out;
    struct refusal refusal = {.status = 429,
                              .type = "insufficient_quota",
                              .code = "insufficient_quota",
                              .message = TEXT("\xec\x9d\xbc \"3\"\n")};

    text_out_init(&out, buf, sizeof(buf));
    openai()->refuse(&refusal, &out);
    cr_assert_str_eq(buf,
                     "{\"error\":{\"message\":\"\xec\x9d\xbc \\\"3\\\"\\n\",\"type\":"
                     "\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}");

    refusal = (struct refusal){.status = 400, .message = TEXT("No."), .param = TEXT("n")};
    text_out_init(&out, buf, sizeof(buf));
    openai()->refuse(&refusal, &out);
    cr_assert_str_eq(buf, "{\"error\":{\"message\":\"No.\",\"type\":\"invalid_request_error\","
                          "\"param\":\"n\",\"code\":null}}");
    cr_assert_str_eq(openai()->refusal_content_type, "application/json");
}
