/* SPDX-License-Identifier: Apache-2.0 */
/* test_upstream.c - one exchange: each wait at once, later, cancelled and failed; heads and contents in pieces.  Opens
 * sockets for connecting. */
#include "unit/backend/rig.h"
#include "unit/whole.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZED "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

static struct pool_rig rig;
static struct upstream *u;
static struct op op;
static enum status ended;
static int dones;
static char buf[64];
static struct text piece;

static void on_done(struct op *done, enum status st)
{
    cr_assert_eq(done, &op);
    ended = st;
    dones++;
}

static void begin(void)
{
    pool_rig_open(&rig);
    op.done = on_done;
    u = pool_rig_upstream(&rig, 4096);
}

static void end(void)
{
    ASSERT(!op_is_pending(&op));
    upstream_give(&u);
    pool_rig_close(&rig);
}

static void later(enum status expected)
{
    int before = dones;

    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, before + 1, "it is not done");
    cr_assert_eq(ended, expected, "%s", status_name(ended));
}

static void send_job(void)
{
    cr_assert_eq(upstream_send(u, TEXT("HEAD;"), TEXT("BODY"), false, &op), ST_OK);
    cr_assert(u->has_sent && u->is_sent_whole);
}

static enum status await_head(void)
{
    return upstream_await_head(u, &op);
}

/* A job that has just left is not asked for its answer in the same turn, even if that is there. */
static void head_comes(enum status st)
{
    cr_assert_eq(await_head(), ST_PENDING);
    later(st);
}

static enum status read_piece(void)
{
    return upstream_read(u, buf, sizeof(buf), &piece, &op);
}

static void piece_is(const char *expected)
{
    cr_assert(text_equal(piece, text_of(expected)), "%.*s", TEXT_ARG(piece));
}

WHOLE_TEST(upstream, at_once_and_again)
{
    for (int i = 0; i < 3; i++) {
        send_job();
        pool_rig_say(&rig, SIZED "hello");
        head_comes(ST_OK);
        cr_assert_eq(u->slab->head.status, 200);
        cr_assert_eq(read_piece(), ST_OK);
        piece_is("hello");
        cr_assert(upstream_is_complete(u));
        cr_assert_eq(read_piece(), ST_CLOSED);
        upstream_give(&u);
        cr_assert_null(u);
        u = pool_take(&rig.pool, &rig.set->backends[0]);
        cr_assert_not_null(u, "it serves again");
        cr_assert_not(u->has_sent);
    }
    cr_assert_str_eq(pool_rig_seen(&rig), "HEAD;BODYHEAD;BODYHEAD;BODY");
}

WHOLE_TEST(upstream, later)
{
    send_job();
    cr_assert_eq(await_head(), ST_PENDING);
    cr_assert_null(u->slab, "who waits holds no buffer");
    pool_rig_say(&rig, "HTTP/1.1 200 OK\r\nContent-");
    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, 0);
    pool_rig_say(&rig, "Length: 5\r\n\r\nhe");
    later(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    piece_is("he");
    cr_assert_eq(read_piece(), ST_PENDING);
    cr_assert_null(u->slab);
    pool_rig_say(&rig, "llo");
    later(ST_OK);
    piece_is("llo");
    cr_assert_eq(read_piece(), ST_CLOSED);
}

WHOLE_TEST(upstream, cancelled)
{
    send_job();
    cr_assert_eq(await_head(), ST_PENDING);
    op_cancel(&op);
    pool_rig_say(&rig, SIZED "he");
    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, 0);
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    cr_assert_eq(read_piece(), ST_PENDING);
    op_cancel(&op);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0, "half an answer lies on it");
}

WHOLE_TEST(upstream, sending_later_and_cancelled)
{
    static char body[10000];

    memset(body, 'b', sizeof(body));
    cr_assert_eq(upstream_send(u, TEXT("H"), (struct text){body, sizeof(body)}, false, &op),
                 ST_PENDING);
    cr_assert(u->has_sent);
    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, 0);
    for (int i = 0; i < 10 && !dones; i++) {
        (void)pool_rig_seen(&rig);
        pool_rig_turns(&rig, 2);
    }
    cr_assert_eq(dones, 1);
    cr_assert_eq(ended, ST_OK);
    cr_assert_eq(strlen(pool_rig_seen(&rig)), 10001);
    cr_assert_eq(upstream_send(u, TEXT("H"), (struct text){body, sizeof(body)}, false, &op),
                 ST_PENDING);
    op_cancel(&op);
    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, 1);
}

WHOLE_TEST(upstream, nothing_had_left)
{
    stream_close(&rig.far);
    cr_assert_eq(upstream_send(u, TEXT("H"), TEXT("B"), false, &op), ST_UNAVAILABLE);
    cr_assert_not(u->has_sent);
}

/* No room for a byte, and then the backend leaves: another may be tried. */
WHOLE_TEST(upstream, nothing_had_left_when_it_left)
{
    static char full[4096];
    struct iovec iov = {full, sizeof(full)};
    size_t len;

    cr_assert_eq(stream_write(&u->stream, &iov, 1, &len), ST_OK);
    cr_assert_eq(upstream_send(u, TEXT("H"), TEXT("B"), false, &op), ST_PENDING);
    cr_assert_not(u->has_sent);
    stream_shut_write(&rig.far);
    later(ST_UNAVAILABLE);
}

WHOLE_TEST(upstream, early_answer_ends_the_sending)
{
    static char body[10000];

    cr_assert_eq(upstream_send(u, TEXT("H"), (struct text){body, sizeof(body)}, false, &op),
                 ST_PENDING);
    pool_rig_say(&rig, "HTTP/1.1 102 Processing\r\n\r\n");
    pool_rig_turns(&rig, 2);
    cr_assert_eq(dones, 0, "it goes on");
    pool_rig_say(&rig, "HTTP/1.1 413 No\r\nContent-Length: 5\r\n\r\nlarge");
    later(ST_OK);
    cr_assert_not(u->is_sent_whole);
    cr_assert_eq(await_head(), ST_OK);
    cr_assert_eq(u->slab->head.status, 413);
    cr_assert_eq(read_piece(), ST_OK);
    piece_is("large");
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(upstream, early_nonsense_is_found_again)
{
    static char body[10000];

    cr_assert_eq(upstream_send(u, TEXT("H"), (struct text){body, sizeof(body)}, false, &op),
                 ST_PENDING);
    pool_rig_say(&rig, "220 smtp\r\n");
    later(ST_OK);
    cr_assert_eq(await_head(), ST_INVALID);
}

WHOLE_TEST(upstream, lost)
{
    send_job();
    cr_assert_eq(await_head(), ST_PENDING);
    stream_close(&rig.far);
    later(ST_UNAVAILABLE);
}

WHOLE_TEST(upstream, lost_in_the_content)
{
    send_job();
    pool_rig_say(&rig, SIZED "he");
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    cr_assert_eq(read_piece(), ST_PENDING);
    stream_shut_write(&rig.far);
    later(ST_UNAVAILABLE);
}

WHOLE_TEST(upstream, head_without_end)
{
    char line[401];

    memset(line, 'x', 400);
    line[400] = '\0';
    send_job();
    pool_rig_say(&rig, "HTTP/1.1 200 OK\r\nX: ");
    for (int i = 0; i < 3; i++)
        pool_rig_say(&rig, line);
    head_comes(ST_INVALID);
}

WHOLE_TEST(upstream, connection_that_is_not_kept)
{
    send_job();
    pool_rig_say(&rig, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_CLOSED);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(upstream, bytes_behind_the_answer_spoil_the_connection)
{
    send_job();
    pool_rig_say(&rig, SIZED "helloHTTP/1.1");
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    cr_assert_eq(read_piece(), ST_CLOSED);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(upstream, content_until_the_end_of_the_connection)
{
    send_job();
    pool_rig_say(&rig, "HTTP/1.1 200 OK\r\n\r\nab");
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    piece_is("ab");
    cr_assert_eq(read_piece(), ST_PENDING);
    stream_shut_write(&rig.far);
    later(ST_CLOSED);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0);
}

WHOLE_TEST(upstream, chunks)
{
    send_job();
    pool_rig_say(&rig,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n");
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_OK);
    piece_is("ab");
    cr_assert(upstream_has_rest(u));
    cr_assert_eq(read_piece(), ST_OK);
    piece_is("c");
    cr_assert_eq(read_piece(), ST_PENDING);
    pool_rig_say(&rig, "0\r\n\r\n");
    later(ST_CLOSED);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 1);
}

WHOLE_TEST(upstream, answer_to_head_has_no_content)
{
    cr_assert_eq(upstream_send(u, TEXT("H"), TEXT_NONE, true, &op), ST_OK);
    pool_rig_say(&rig, "HTTP/1.1 100 Continue\r\n\r\n" SIZED);
    head_comes(ST_OK);
    cr_assert_eq(read_piece(), ST_CLOSED);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 1);
}

/* However much is there, a turn ends. */
WHOLE_TEST(upstream, endless_interim_answers)
{
    static const char interim[] = "HTTP/1.1 102 Processing\r\n\r\n";
    int fed = 0;

    send_job();
    cr_assert_eq(await_head(), ST_PENDING);
    for (int i = 0; i < 100; i++) {
        pool_rig_say(&rig, interim);
        fed++;
        pool_rig_turns(&rig, 1);
    }
    cr_assert_eq(dones, 0);
    cr_assert_eq(fed, 100);
    op_cancel(&op);
}

WHOLE_TEST(upstream, reads_of_a_turn_are_bounded)
{
    int pieces = 0;
    size_t len;
    char *bytes = malloc(4000);
    struct iovec iov = {bytes, 4000};

    memset(bytes, 'x', 4000);
    send_job();
    pool_rig_say(&rig, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    head_comes(ST_OK);
    cr_assert_eq(stream_write(&rig.far, &iov, 1, &len), ST_OK);
    while (read_piece() == ST_OK)
        pieces++;
    cr_assert_lt(pieces, 4000 / (int)sizeof(buf), "the rest is for the next turn");
    cr_assert(op_is_pending(&op));
    later(ST_OK);
    free(bytes);
}

/* --- connecting --------------------------------------------------------------------------------------------------------- */

static int listen_at_backend(int backlog)
{
    struct address *at = &rig.set->backends[0].address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), at), ST_OK);
    cr_assert_eq(bind(fd, &at->sa, at->len), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, &at->sa, &at->len), 0);
    return fd;
}

static enum status try_connect(void)
{
    upstream_give(&u);
    return upstream_connect(&rig.pool, &rig.set->backends[0], &op, &u);
}

static enum status wait_for(enum status st)
{
    int before = dones;

    if (st != ST_PENDING)
        return st;
    for (int i = 0; i < 100 && dones == before; i++)
        loop_run_once(rig.loop, 5);
    return ended;
}

WHOLE_TEST(upstream, connects_later)
{
    int fd = listen_at_backend(5);

    cr_assert_eq(try_connect(), ST_PENDING);
    for (int i = 0; i < 100 && !dones; i++)
        loop_run_once(rig.loop, 5);
    cr_assert_eq(ended, ST_OK);
    cr_assert(stream_is_open(&u->stream));
    close(fd);
}

WHOLE_TEST(upstream, connecting_is_refused)
{
    int fd = listen_at_backend(5);

    close(fd);
    cr_assert_eq(wait_for(try_connect()), ST_REFUSED);
}

WHOLE_TEST(upstream, connecting_is_cancelled)
{
    int fd = listen_at_backend(5);

    cr_assert_eq(try_connect(), ST_PENDING);
    op_cancel(&op);
    cr_assert_not(stream_is_open(&u->stream));
    for (int i = 0; i < 3; i++)
        loop_run_once(rig.loop, 5);
    cr_assert_eq(dones, 0);
    close(fd);
}

WHOLE_TEST(upstream, given_back_while_connected_but_unused)
{
    int fd = listen_at_backend(5);

    cr_assert_eq(try_connect(), ST_PENDING);
    for (int i = 0; i < 100 && !dones; i++)
        loop_run_once(rig.loop, 5);
    upstream_give(&u);
    cr_assert_eq(pool_rig_idle(&rig), 0);
    close(fd);
}

/* --- passing on ---------------------------------------------------------------------------------------------------------- */

#define LONG_BYTES ((size_t)200000)

/* A backend that answers with so much content and waits. */
static int long_answer(char *content)
{
    int listener = listen_at_backend(5), fd;

    cr_assert_eq(wait_for(try_connect()), ST_OK);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    send_job();
    for (size_t i = 0; i < LONG_BYTES; i++)
        content[i] = (char)(i % 251);
    dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", LONG_BYTES);
    cr_assert_eq(write(fd, content, LONG_BYTES), (ssize_t)LONG_BYTES);
    return fd;
}

/* Reads it all; *out_passed went to `to`, and is said to have been the beginning of its piece. */
static void read_and_pass(struct tee *tee, struct stream *to, const char *content,
                          size_t *out_passed)
{
    char *room = malloc(LONG_BYTES);
    size_t at = 0;

    *out_passed = 0;
    for (;;) {
        upstream_pass_to(u, tee, to);
        if (wait_for(upstream_read(u, room, LONG_BYTES, &piece, &op)) != ST_OK)
            break;
        cr_assert_eq(memcmp(piece.ptr, content + at, piece.len), 0);
        cr_assert(u->passed_bytes <= piece.len);
        cr_assert(u->passed_bytes == 0 || at + u->passed_bytes < LONG_BYTES);
        *out_passed += u->passed_bytes;
        at += piece.len;
    }
    cr_assert_eq(at, LONG_BYTES);
    free(room);
}

/* What is handed out is the same, whatever is passed on. */
WHOLE_TEST(upstream, passes_on_all_but_the_beginning_and_the_end)
{
    char *content = malloc(LONG_BYTES), *came = malloc(LONG_BYTES);
    struct tee *tee = tee_new();
    struct stream to = {.ready = NULL};
    int backend = long_answer(content), fds[2];
    size_t passed, first;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
    stream_open(&to, rig.loop, fds[0]);
    cr_assert_eq(wait_for(await_head()), ST_OK);
    first = u->rest.len;
    read_and_pass(tee, &to, content, &passed);
    cr_assert(passed > LONG_BYTES / 2 && passed < LONG_BYTES - first, "%zu", passed);
    cr_assert_eq(recv(fds[1], came, LONG_BYTES, MSG_DONTWAIT), (ssize_t)passed);
    cr_assert_eq(memcmp(came, content + first, passed), 0);
    stream_close(&to);
    close(fds[1]);
    close(backend);
    tee_free(&tee);
    free(came);
    free(content);
}

WHOLE_TEST(upstream, passes_nothing_on_where_nobody_takes_it)
{
    char *content = malloc(LONG_BYTES);
    int backend = long_answer(content);
    struct tee *tee = tee_new();
    size_t passed;

    cr_assert_eq(wait_for(await_head()), ST_OK);
    read_and_pass(tee, NULL, content, &passed);
    cr_assert_eq(passed, 0);
    close(backend);
    tee_free(&tee);
    free(content);
}
