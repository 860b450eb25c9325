/* SPDX-License-Identifier: Apache-2.0 */
/* tee.c - from a socket to another one and to us.      Runs on: the loop's thread.
 *
 *   from --splice--> kept --tee--> given --splice--> to
 *                     |              +-----read----> (what `to` did not take)
 *                     +---------------read---------> buf
 *
 * The pipes serve one connection after the other, so a byte that stayed in one would end in somebody else's answer:
 * what is in them is taken out whatever happens, and no other way on is known than to stop if that fails. */
#include "net/tee.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Holds 256 pieces; what a socket brings over the loopback is in pieces of up to 32 KiB, from a network of some 1.5 KB. */
#define PIPE_BYTES (1 << 20)

struct tee_pipe {
    int out, in; /* as pipe(2) has them: what is written to in is read from out; -1: none */
};

struct tee {
    struct tee_pipe kept, given;
};

static bool open_pipe(struct tee_pipe *p)
{
    int fds[2];

    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
        return false;
    *p = (struct tee_pipe){.out = fds[0], .in = fds[1]};
    return fcntl(p->in, F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES;
}

static void close_pipe(const struct tee_pipe *p)
{
    if (p->out < 0)
        return;
    close(p->out);
    close(p->in);
}

struct tee *tee_new(void)
{
    struct tee *tee = malloc(sizeof(*tee));

    if (!tee)
        return NULL;
    *tee = (struct tee){{-1, -1}, {-1, -1}};
    if (!open_pipe(&tee->kept) || !open_pipe(&tee->given))
        tee_free(&tee);
    return tee;
}

void tee_free(struct tee **where)
{
    struct tee *tee = *where;

    if (!tee)
        return;
    *where = NULL;
    close_pipe(&tee->kept);
    close_pipe(&tee->given);
    free(tee);
}

bool tee_fits(const struct stream *from, const struct stream *to)
{
    return stream_is_socket(from) && stream_is_socket(to);
}

static void take_out(const struct tee_pipe *p, char *buf, size_t len)
{
    while (len > 0) {
        ssize_t part = read(p->out, buf, len);

        ASSERT(part > 0);
        buf += part;
        len -= (size_t)part;
    }
}

/* How many of the len bytes that are kept did `to` take?  buf has room for as many. */
static size_t give(const struct tee *t, struct stream *to, char *buf, size_t len)
{
    ssize_t given = tee(t->kept.out, t->given.in, len, SPLICE_F_NONBLOCK);

    if (given <= 0)
        return 0;
    ssize_t sent = splice(t->given.out, NULL, to->fd, NULL, (size_t)given, SPLICE_F_NONBLOCK);

    sent = MAX(sent, 0);
    take_out(&t->given, buf, (size_t)(given - sent));
    return (size_t)sent;
}

enum status tee_read(struct tee *tee, struct stream *from, struct stream *to, void *buf,
                     size_t size, struct teed *out)
{
    ssize_t len = splice(from->fd, NULL, tee->kept.in, NULL, size, SPLICE_F_NONBLOCK);

    from->is_unread = len >= 0;
    if (len < 0)
        return errno == EAGAIN ? ST_PENDING : ST_UNAVAILABLE;
    if (len == 0)
        return ST_CLOSED;
    out->len = (size_t)len;
    out->sent = give(tee, to, buf, out->len);
    take_out(&tee->kept, buf, out->len);
    return ST_OK;
}
