/* SPDX-License-Identifier: Apache-2.0 */
/* responder.c - a listener that answers. */
#include "unit/net/responder.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "net/stream.h"

struct visit {
    struct stream stream;
    struct responder *responder;
    struct retired retired;
};

static void free_visit(struct retired *retired)
{
    free(container_of(retired, struct visit, retired));
}

static void end(struct visit *visit)
{
    stream_close(&visit->stream);
    loop_retire(visit->responder->loop, &visit->retired, free_visit);
}

static void on_ready(struct stream *stream, unsigned what)
{
    struct visit *visit = container_of(stream, struct visit, stream);
    struct responder *r = visit->responder;
    size_t len = 0, written = 0;
    enum status st = stream_read(stream, r->request, sizeof(r->request) - 1, &len);

    UNUSED(what);
    if (st == ST_PENDING)
        return;
    if (st != ST_OK) {
        end(visit);
        return;
    }
    r->request[len] = '\0';
    r->asked++;
    if (!r->answer)
        return;
    struct iovec iov = {(void *)(uintptr_t)r->answer, strlen(r->answer)};

    cr_assert_eq(stream_write(stream, &iov, 1, &written), ST_OK);
    cr_assert_eq(written, iov.iov_len);
    end(visit);
}

static void on_accept(void *owner, int fd, const struct address *from)
{
    struct responder *r = owner;
    struct visit *visit = calloc(1, sizeof(*visit));

    UNUSED(from);
    cr_assert_not_null(visit);
    visit->responder = r;
    stream_open(&visit->stream, r->loop, fd);
    visit->stream.ready = on_ready;
    stream_want(&visit->stream, STREAM_READ);
}

void responder_open(struct responder *r, struct loop *loop)
{
    struct address at;

    memset(r, 0, sizeof(*r));
    r->loop = loop;
    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &at), ST_OK);
    cr_assert_eq(listener_open(loop, &at, on_accept, r, &r->listener), ST_OK);
}

void responder_close(struct responder *r)
{
    listener_close(&r->listener);
    for (int i = 0; i < 5; i++) /* those who ask are gone by now */
        loop_run_once(r->loop, 1);
}
