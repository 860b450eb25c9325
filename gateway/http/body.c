/* SPDX-License-Identifier: Apache-2.0 */
/* body.c - a body in memory, or in a file that has no name.      Runs on: worker.
 * A body is in exactly one place: in memory while it is at most spool_bytes long, else in the file.  Where its length is
 * announced it has exactly that; else memory doubles, so a body is copied at most twice on its way.  Writing the file may
 * block: it is the price for a body that few send. */
#include "http/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRST_BYTES ((size_t)4096)

void body_init(struct body *body, size_t limit_bytes, size_t spool_bytes, const char *spool_dir)
{
    *body = (struct body){
        .fd = -1, .limit_bytes = limit_bytes, .spool_bytes = spool_bytes, .spool_dir = spool_dir};
}

static bool is_spooled(const struct body *body)
{
    return body->fd >= 0;
}

static enum status resize(struct body *body, size_t size)
{
    char *memory = realloc(body->memory, size);

    if (!memory)
        return ST_NOMEM;
    body->memory = memory;
    body->memory_size = size;
    return ST_OK;
}

static enum status reserve(struct body *body, size_t need)
{
    if (need <= body->memory_size)
        return ST_OK;
    size_t size = MAX(body->memory_size, FIRST_BYTES);
    while (size < need)
        size *= 2;
    return resize(body, MAX(MIN(size, body->spool_bytes), need));
}

/* For file systems without O_TMPFILE. */
static int open_unlinked(const char *dir)
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/meltguard-XXXXXX", dir);

    if (len < 0 || (size_t)len >= sizeof(path))
        return -1;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static enum status write_all(int fd, struct text bytes, size_t at)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ST_UNAVAILABLE;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
        at += (size_t)n;
    }
    return ST_OK;
}

static void free_memory(struct body *body)
{
    free(body->memory);
    body->memory = NULL;
    body->memory_size = 0;
}

static enum status spool(struct body *body)
{
    int fd = open(body->spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0)
        fd = open_unlinked(body->spool_dir);
    if (fd < 0)
        return ST_UNAVAILABLE;
    enum status st = write_all(fd, (struct text){body->memory, body->len}, 0);
    if (st) {
        (void)close(fd);
        return st;
    }
    body->fd = fd;
    free_memory(body);
    return ST_OK;
}

enum status body_append(struct body *body, struct text bytes)
{
    enum status st = ST_OK;

    ASSERT(!body->mapped);
    if (bytes.len > body->limit_bytes - body->len)
        return ST_LIMIT;
    if (bytes.len == 0)
        return ST_OK;
    if (!is_spooled(body) && body->len + bytes.len > body->spool_bytes)
        st = spool(body);
    if (!st && is_spooled(body)) {
        st = write_all(body->fd, bytes, body->len);
    } else if (!st) {
        st = reserve(body, body->len + bytes.len);
        if (!st)
            memcpy(body->memory + body->len, bytes.ptr, bytes.len);
    }
    if (!st)
        body->len += bytes.len;
    return st;
}

enum status body_expect(struct body *body, int64_t content_length)
{
    ASSERT(content_length >= 0);
    if ((uint64_t)content_length > body->limit_bytes)
        return ST_LIMIT;
    if ((uint64_t)content_length > body->spool_bytes || is_spooled(body))
        return ST_OK;
    if ((size_t)content_length <= body->memory_size)
        return ST_OK;
    return resize(body, (size_t)content_length);
}

enum status body_text(struct body *body, struct text *out)
{
    if (!is_spooled(body)) {
        *out = body->len > 0 ? (struct text){body->memory, body->len} : TEXT("");
        return ST_OK;
    }
    if (!body->mapped) {
        void *mapped = mmap(NULL, body->len, PROT_READ, MAP_PRIVATE, body->fd, 0);
        if (mapped == MAP_FAILED)
            return ST_NOMEM;
        body->mapped = mapped;
    }
    *out = (struct text){body->mapped, body->len};
    return ST_OK;
}

void body_free(struct body *body)
{
    if (body->mapped)
        (void)munmap(body->mapped, body->len);
    if (is_spooled(body))
        (void)close(body->fd);
    free(body->memory);
    body_init(body, body->limit_bytes, body->spool_bytes, body->spool_dir);
}
