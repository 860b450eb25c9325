/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - what all readers of nodes share.      Runs on: control thread. */
#include "config/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCRATCH_BYTES_MAX ((size_t)512 << 20)

void reader_init(struct reader *r, struct config_memory *memory, const struct config_known *known,
                 int64_t now_s, char error[CONFIG_ERROR_MAX])
{
    arena_init(&r->scratch, SCRATCH_BYTES_MAX);
    r->memory = memory;
    r->known = known;
    r->now_s = now_s;
    r->error = error;
    error[0] = '\0';
}

void reader_fini(struct reader *r)
{
    arena_fini(&r->scratch);
}

enum status reader_fail(struct reader *r, const struct node *at, const char *format, ...)
{
    if (r->error[0] != '\0')
        return ST_INVALID;
    int len = snprintf(r->error, CONFIG_ERROR_MAX, "%s:%d:%d: ", at->file, at->line, at->column);
    if (len < 0 || len >= CONFIG_ERROR_MAX)
        return ST_INVALID;
    va_list args;
    va_start(args, format);
    vsnprintf(r->error + len, (size_t)(CONFIG_ERROR_MAX - len), format, args);
    va_end(args);
    return ST_INVALID;
}

enum status reader_no_memory(struct reader *r)
{
    if (r->error[0] == '\0')
        snprintf(r->error, CONFIG_ERROR_MAX, "no memory for the configuration");
    return ST_NOMEM;
}

const char *reader_echo(const struct node *node, char buf[READER_ECHO_MAX])
{
    static const char dots[] = "...";
    size_t room = READER_ECHO_MAX - sizeof(dots);
    size_t len = MIN(node->text.len, room);

    /* Not in the middle of a UTF-8 character. */
    while (len > 0 && len < node->text.len && ((unsigned char)node->text.ptr[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)node->text.ptr[i];
        buf[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    buf[len] = '\0';
    if (len < node->text.len)
        memcpy(buf + len, dots, sizeof(dots));
    return buf;
}

const struct node *node_find(const struct node *mapping, struct text key)
{
    for (const struct node *value = mapping->first; value; value = value->next)
        if (text_equal(value->key->text, key))
            return value;
    return NULL;
}

const char *reader_beside(struct reader *r, const struct node *node)
{
    const char *slash = strrchr(node->file, '/');

    if (!slash || node->text.ptr[0] == '/')
        return memory_text(r->memory, node->text);
    size_t folder_len = (size_t)(slash - node->file) + 1;
    size_t size = folder_len + node->text.len + 1;
    char *path = memory_take(r->memory, size);
    if (path) {
        memcpy(path, node->file, folder_len);
        memcpy(path + folder_len, node->text.ptr, node->text.len);
    }
    return path;
}
