/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - one request to the admin API. */
#include "ctl/call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/url.h"
#include "http/fetch.h"
#include "net/resolve.h"

#define TIMEOUT_MS   15000
#define ANSWER_BYTES ((size_t)4 << 20)
#define TOKEN_MAX    1024

/* Where to, and as whom. */
struct caller {
    struct address to;
    const char *host;
    const char *prefix; /* path of the URL */
    struct config_memory *memory;
    char token[TOKEN_MAX + 3];
};

/* One wait, on a loop of its own. */
struct wait {
    struct op op;
    struct loop *loop;
    enum status st;
};

static void on_done(struct op *op, enum status st)
{
    struct wait *wait = container_of(op, struct wait, op);

    wait->st = st;
    loop_stop(wait->loop);
}

static int find_socket(const struct ctl *ctl, struct caller *caller)
{
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    text_out_add(&out, TEXT("unix:"));
    text_out_add(&out, text_of(ctl->socket));
    if (out.is_full || address_parse(text_out_text(&out), &caller->to))
        return ctl_fail(EXIT_USAGE, "%s is no path of a socket", ctl->socket);
    caller->host = "localhost";
    caller->prefix = "";
    return EXIT_DONE;
}

static int find_url(const struct ctl *ctl, struct caller *caller)
{
    struct http_url url;
    const char *why = "no memory";

    caller->memory = config_memory_new();
    if (!caller->memory || url_http(text_of(ctl->admin), caller->memory, &why, &url))
        return ctl_fail(EXIT_USAGE, "%s: %s", ctl->admin, why);
    if (resolve_host_port(text_of(url.host_port), &caller->to))
        return ctl_fail(EXIT_UNREACHABLE, "the name %s is not known", url.host_port);
    caller->host = url.host_port;
    caller->prefix = strcmp(url.path, "/") == 0 ? "" : url.path;
    return EXIT_DONE;
}

static int read_token(const struct ctl *ctl, struct caller *caller)
{
    ssize_t len;
    int fd;

    if (!ctl->token_file)
        return EXIT_DONE;
    fd = open(ctl->token_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ctl_fail(EXIT_USAGE, "cannot read %s: %s", ctl->token_file, strerror(errno));
    len = read(fd, caller->token, sizeof(caller->token) - 1);
    close(fd);
    while (len > 0 && (caller->token[len - 1] == '\n' || caller->token[len - 1] == '\r'))
        len--;
    if (len <= 0 || len > TOKEN_MAX)
        return ctl_fail(EXIT_USAGE, "no token in %s, expected one line", ctl->token_file);
    caller->token[len] = '\0';
    return EXIT_DONE;
}

static enum status ask(const struct fetch_terms *terms, struct fetch *fetch, struct wait *wait)
{
    enum status st = loop_new(&wait->loop);

    if (st)
        return st;
    wait->op.done = on_done;
    st = fetch_start(fetch, wait->loop, terms, &wait->op);
    if (st == ST_PENDING) {
        loop_run(wait->loop);
        st = wait->st;
    }
    return st;
}

static int take(const struct fetch *fetch, struct call_answer *out)
{
    struct text body = fetch_body(fetch);

    out->status = fetch->status;
    out->len = body.len;
    out->body = malloc(body.len + 1);
    if (!out->body)
        return ctl_fail(EXIT_REFUSED, "no memory");
    memcpy(out->body, body.ptr, body.len);
    out->body[body.len] = '\0';
    return EXIT_DONE;
}

static int ask_and_take(const struct ctl *ctl, const struct caller *caller, const char *method,
                        const char *target, struct text json, struct call_answer *out)
{
    char path[2048];
    struct text_out whole;
    struct fetch fetch;
    struct wait wait = {.st = ST_OK};

    text_out_init(&whole, path, sizeof(path));
    text_out_add(&whole, text_of(caller->prefix));
    text_out_add(&whole, text_of(target));
    if (whole.is_full)
        return ctl_fail(EXIT_USAGE, "the names are too long");
    struct fetch_terms terms = {
        .to = &caller->to,
        .host = text_of(caller->host),
        .target = text_out_text(&whole),
        .timeout_ms = TIMEOUT_MS,
        .max_bytes = ANSWER_BYTES,
        .method = text_of(method),
        .bearer = text_of(caller->token),
        .json = json,
    };
    fetch_init(&fetch);
    enum status st = ask(&terms, &fetch, &wait);
    int code = EXIT_DONE;
    if (st)
        code = ctl_fail(EXIT_UNREACHABLE, "no answer from %s: %s",
                        ctl->admin ? ctl->admin : ctl->socket, status_name(st));
    else
        code = take(&fetch, out);
    fetch_fini(&fetch);
    if (wait.loop)
        loop_free(&wait.loop);
    return code;
}

int call_api(const struct ctl *ctl, const char *method, const char *target, struct text json,
             struct call_answer *out)
{
    struct caller caller = {.host = NULL};
    int code = ctl->admin ? find_url(ctl, &caller) : find_socket(ctl, &caller);

    *out = (struct call_answer){.status = 0};
    if (code == EXIT_DONE)
        code = read_token(ctl, &caller);
    if (code == EXIT_DONE)
        code = ask_and_take(ctl, &caller, method, target, json, out);
    if (caller.memory)
        config_memory_free(&caller.memory);
    return code;
}

void call_free(struct call_answer *answer)
{
    free(answer->body);
    *answer = (struct call_answer){.status = 0};
}

void call_encode(struct text_out *out, struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != '\0' && strchr("-._~", c)))
            text_out_char(out, c);
        else
            text_out_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}
