/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c - see ask.h. */
#include "ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIGITS     8
#define BODY_BEGIN "{\"model\":\"sim-image-1\",\"prompt\":\""
#define BODY_END   "\",\"n\":1,\"size\":\"1024x1024\"}"
#define PROMPT                                                                                     \
    "a lighthouse at dusk, long exposure, calm sea, warm light in the windows, film grain, "

static bool add(struct ask *ask, const char *format, ...)
{
    size_t room = sizeof(ask->bytes) - ask->len;
    va_list args;

    va_start(args, format);
    int len = vsnprintf(ask->bytes + ask->len, room, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= room)
        return false;
    ask->len += (size_t)len;
    return true;
}

static bool add_head(struct ask *ask, const struct options *options, size_t body_len)
{
    const char *identity = options->identity == IDENTITY_HEADER ? "X-Account-Id: bench-"
                                                                : "Authorization: Bearer sk-bench-";
    bool is_good =
        add(ask, "POST %s HTTP/1.1\r\nHost: images.example\r\n%s", options->path, identity);

    ask->digits_at = ask->len;
    is_good = is_good && add(ask, "%08d\r\nUser-Agent: load/1\r\nAccept: application/json\r\n", 0);
    for (int i = 0; i < options->headers_len; i++)
        is_good = is_good && add(ask, "%s\r\n", options->headers[i]);
    return is_good &&
           add(ask, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body_len);
}

bool ask_init(struct ask *ask, const struct options *options)
{
    size_t frame = sizeof(BODY_BEGIN) - 1 + sizeof(BODY_END) - 1;
    size_t prompt_len = 1;

    /* The length of the body is a field of the head: a first head, thrown away, is only measured. */
    ask->len = 0;
    if (!add_head(ask, options, 100))
        return false;
    if (ask->len + frame < (size_t)options->request_bytes)
        prompt_len = (size_t)options->request_bytes - ask->len - frame;
    ask->len = 0;
    if (!add_head(ask, options, frame + prompt_len) || !add(ask, "%s", BODY_BEGIN))
        return false;
    for (size_t i = 0; i < prompt_len; i++)
        if (!add(ask, "%c", PROMPT[i % (sizeof(PROMPT) - 1)]))
            return false;
    return add(ask, "%s", BODY_END);
}

void ask_set_account(struct ask *ask, int64_t account)
{
    char *digits = ask->bytes + ask->digits_at;

    for (int i = DIGITS - 1; i >= 0; i--) {
        digits[i] = (char)('0' + account % 10);
        account /= 10;
    }
}
