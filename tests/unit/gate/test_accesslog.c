/* SPDX-License-Identifier: Apache-2.0 */
/* test_accesslog.c - one line a request, with nothing secret in it. */
#include "unit/gate/scripted.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "unit/whole.h"

static struct scripted s;
static char path[64];
static char lines[1 << 17];

/* Each test opens it with the format that it wants. */
static void begin(void)
{
}

static void open_with(const char *format)
{
    char more[256];

    snprintf(path, sizeof(path), "/tmp/meltguard-log-%d", (int)getpid());
    snprintf(more, sizeof(more), "log: {access: '%s', format: %s}\n", path, format);
    scripted_open(&s, more);
}

static void end(void)
{
    scripted_close(&s);
    unlink(path);
}

/* All that was written so far. */
static const char *written(void)
{
    FILE *file = fopen(path, "r");
    size_t len;

    cr_assert_not_null(file);
    len = fread(lines, 1, sizeof(lines) - 1, file);
    lines[len] = '\0';
    fclose(file);
    return lines;
}

static void one_request(void)
{
    struct far_end *far, *backend;

    s.backends->backends[1].max_in_flight = 0;
    scripted_client(&s, 65536, &far);
    scripted_upstream(&s, 0, 65536, &backend);
    far_say(far, "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: alice\r\n"
                 "X-Account-Tier: plus\r\nX-Request-Id: r-1\r\nAuthorization: Bearer sk-secret\r\n"
                 "Content-Type: application/json\r\nContent-Length: 29\r\n\r\n"
                 "{\"prompt\":\"a secret\",\"n\":2  }");
    scripted_turns(&s, 4);
    far_say(backend, scripted_answer(1));
    scripted_turns(&s, 3);
    FAR_HAS(far, "200 OK");
    stream_close(&far->stream);
    scripted_turns(&s, 2);
}

static bool is_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    UNUSED(owner);
    UNUSED(kind);
    UNUSED(text);
    UNUSED(depth);
    return true;
}

static void has(const char *what)
{
    cr_assert(strstr(lines, what), "%s in %s", what, lines);
}

WHOLE_TEST(accesslog, json)
{
    static const char *const fields[] = {
        "{\"time\":\"2",
        "\"req\":\"r-1\"",
        "\"account\":\"alice\"",
        "\"tier\":\"plus\"",
        "\"dialect\":\"openai\"",
        "\"op\":\"generate\"",
        "\"images\":2",
        "\"cost\":1000",
        "\"verdict\":\"admit\"",
        "\"queue_ms\":0",
        "\"backend\":\"gpu0\"",
        "\"status\":200",
        "\"outcome\":\"delivered\"",
        "\"phase\":\"RELAY\"",
        "\"total_ms\":",
    };

    open_with("json");
    one_request();
    SCRIPTED_UNTIL(&s, strlen(written()) > 0);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        has(fields[i]);
    cr_assert_eq(json_parse(text_of(lines), is_token, NULL, NULL), ST_OK, "%s", lines);
    cr_assert_null(strstr(lines, "secret"));
    cr_assert_eq(lines[strlen(lines) - 1], '\n');
}

WHOLE_TEST(accesslog, text)
{
    open_with("text");
    one_request();
    SCRIPTED_UNTIL(&s, strlen(written()) > 0);
    has(" req=r-1 account=alice tier=plus ");
    has(" outcome=delivered phase=RELAY\n");
}

WHOLE_TEST(accesslog, many_lines_come_whole_and_in_order)
{
    struct far_end *far;
    int count = 0;

    open_with("json");
    scripted_client(&s, 65536, &far);
    for (int i = 0; i < 500; i++) {
        char request[128];

        snprintf(request, sizeof(request),
                 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: n-%d\r\n\r\n", i);
        far_say(far, request);
        scripted_turns(&s, 2);
        (void)far_read_anew(far);
    }
    accesslog_close(&s.gate->log);
    s.gate->log.fd = -1;
    s.gate->log.lines = NULL;
    (void)written();
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        char id[32];

        snprintf(id, sizeof(id), "\"req\":\"n-%d\"", count++);
        cr_assert(strstr(line, id), "%s", line);
        cr_assert_eq(line[strlen(line) - 1], '}');
    }
    cr_assert_eq(count, 500);
}

/* The longest values there are, each of them escaped: a line is never cut. */
WHOLE_TEST(accesslog, longest_line)
{
    struct far_end *far;
    struct client *c;
    struct request *req;
    char backend_name[65], id[REQUEST_ID_MAX + 1] = "";

    open_with("json");
    c = scripted_client(&s, 65536, &far);
    s.store.reserve = ST_PENDING;
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 3);
    req = c->req;
    memset(id, 'i', REQUEST_ID_MAX);
    req->id = id;
    memset(req->identity.account.id, '"', ACCOUNT_ID_MAX);
    memset(backend_name, 'b', 64);
    backend_name[64] = '\0';
    s.backends->backends[0].name = backend_name;
    req->backend = &s.backends->backends[0];
    req->queued_us = req->slot_us = req->sent_us = 1;
    req->first_byte_us = INT64_MAX / 2;
    req->charged_images = 10;
    request_abort(req, OUTCOME_STORE_UNAVAILABLE);
    SCRIPTED_UNTIL(&s, strlen(written()) > 0);
    cr_assert_eq(json_parse(text_of(lines), is_token, NULL, NULL), ST_OK, "%s", lines);
}

WHOLE_TEST(accesslog, file_that_cannot_be_opened)
{
    struct accesslog log;
    struct config config = {.access_log = "/nowhere/at/all", .access_format = ACCESS_FORMAT_JSON};

    open_with("json");
    cr_assert_eq(accesslog_open(&log, s.loop, &config), ST_UNAVAILABLE);
    accesslog_close(&log);
    log = (struct accesslog){.fd = -1}; /* one that was never opened */
    accesslog_close(&log);
}
