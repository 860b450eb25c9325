/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - see answer.h.
 * It trusts what it loads: a chunked body is over where the last five bytes say so, which base64 and JSON never do. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LAST_CHUNK "0\r\n\r\n"

void answer_begin(struct answer *answer)
{
    answer->head_len = 0;
    answer->is_head_done = false;
}

/* The value of a field, up to the end of its line; NULL: there is none. */
static const char *field(const char *head, const char *name)
{
    const char *line = strstr(head, "\r\n");
    size_t name_len = strlen(name);

    while (line && line[2] != '\r') {
        line += 2;
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':')
            return line + name_len + 1 + strspn(line + name_len + 1, " ");
        line = strstr(line, "\r\n");
    }
    return NULL;
}

static bool has_word(const char *value, const char *word)
{
    return value && strncasecmp(value, word, strlen(word)) == 0;
}

static bool read_head(struct answer *answer)
{
    const char *length = field(answer->head, "Content-Length");

    if (strncmp(answer->head, "HTTP/1.", 7) != 0 || answer->head_len < 13)
        return false;
    answer->status = atoi(answer->head + 9);
    answer->is_chunked = has_word(field(answer->head, "Transfer-Encoding"), "chunked");
    answer->closes = has_word(field(answer->head, "Connection"), "close");
    answer->body_bytes = 0;
    answer->body_left = length ? strtoll(length, NULL, 10) : 0;
    memset(answer->tail, 0, sizeof(answer->tail));
    return answer->status >= 200 && answer->status < 600 && (length || answer->is_chunked);
}

static void keep_tail(struct answer *answer, const char *bytes, size_t len)
{
    size_t size = sizeof(answer->tail);

    if (len >= size) {
        memcpy(answer->tail, bytes + len - size, size);
    } else {
        memmove(answer->tail, answer->tail + len, size - len);
        memcpy(answer->tail + size - len, bytes, len);
    }
}

static enum answer_state feed_body(struct answer *answer, const char *bytes, size_t len)
{
    answer->body_bytes += (int64_t)len;
    if (answer->is_chunked) {
        keep_tail(answer, bytes, len);
        return memcmp(answer->tail, LAST_CHUNK, sizeof(answer->tail)) == 0 ? ANSWER_WHOLE
                                                                           : ANSWER_MORE;
    }
    answer->body_left -= (int64_t)len;
    if (answer->body_left < 0)
        return ANSWER_BROKEN;
    return answer->body_left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}

enum answer_state answer_feed(struct answer *answer, const char *bytes, size_t len)
{
    if (answer->is_head_done)
        return feed_body(answer, bytes, len);
    size_t old = answer->head_len;
    size_t room = sizeof(answer->head) - 1 - old;
    size_t taken = len < room ? len : room;

    memcpy(answer->head + old, bytes, taken);
    answer->head_len += taken;
    answer->head[answer->head_len] = '\0';
    char *end = strstr(answer->head, "\r\n\r\n");
    if (!end)
        return answer->head_len == sizeof(answer->head) - 1 ? ANSWER_BROKEN : ANSWER_MORE;
    size_t head_len = (size_t)(end - answer->head) + 4;

    answer->head[head_len] = '\0';
    answer->is_head_done = true;
    if (!read_head(answer))
        return ANSWER_BROKEN;
    return feed_body(answer, bytes + (head_len - old), len - (head_len - old));
}
