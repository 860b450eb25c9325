/* SPDX-License-Identifier: Apache-2.0 */
/* Listening on real sockets, on the loopback interface only. */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"

#define TURNS_MAX 1000

static struct loop *loop;
static struct listener *listener;
static int accepted;
static int last_fd = -1;
static struct address last_from;

static void on_accept(void *owner, int fd, const struct address *from)
{
    cr_assert_eq(owner, &accepted);
    accepted++;
    if (last_fd >= 0)
        close(last_fd);
    last_fd = fd;
    last_from = *from;
}

static void begin(void)
{
    log_set_level(LOG_NONE);
    cr_assert_eq(loop_new(&loop), ST_OK);
}

static void finish(void)
{
    listener_close(&listener);
    if (last_fd >= 0)
        close(last_fd);
    loop_free(&loop);
}

TestSuite(listener, .init = begin, .fini = finish);

static void listen_at(const char *cstr)
{
    struct address at;

    cr_assert_eq(address_parse(text_of(cstr), &at), ST_OK);
    cr_assert_eq(listener_open(loop, &at, on_accept, &accepted, &listener), ST_OK);
}

static int connect_to(const struct address *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, &to->sa, to->len), 0);
    return fd;
}

static void turn_until(int count)
{
    for (int i = 0; i < TURNS_MAX && accepted < count; i++)
        loop_run_once(loop, 10);
}

Test(listener, accepts)
{
    int on = 0;
    socklen_t len = sizeof(on);

    listen_at("127.0.0.1:0");
    int fd = connect_to(listener_address(listener));

    turn_until(1);
    cr_assert_eq(accepted, 1);
    cr_assert(fcntl(last_fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(last_fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(getsockopt(last_fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    cr_assert_neq(on, 0);
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_print_host(&last_from, &out);
    cr_assert_str_eq(buf, "127.0.0.1");
    close(fd);
}

static void expect_congestion(int fd, const char *name)
{
    char found[16] = "";
    socklen_t len = sizeof(found);

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, found, &len), 0);
    cr_assert_str_eq(found, name);
}

Test(listener, connections_over_the_loopback_are_not_paced)
{
    listen_at("127.0.0.1:0");
    int fd = connect_to(listener_address(listener));

    turn_until(1);
    expect_congestion(last_fd, "reno");
    close(fd);
}

Test(listener, others_are_as_the_machine_has_them)
{
    char usual[16] = "";
    socklen_t len = sizeof(usual);
    struct address to;

    listen_at("0.0.0.0:0");
    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &to), ST_OK);
    ((struct sockaddr_in *)&to.sa)->sin_port =
        ((const struct sockaddr_in *)&listener_address(listener)->sa)->sin_port;
    int fd = connect_to(&to);

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, usual, &len), 0);
    turn_until(1);
    expect_congestion(last_fd, usual);
    close(fd);
}

Test(listener, workers_share_a_port)
{
    struct listener *second;

    listen_at("127.0.0.1:0");
    cr_assert_eq(listener_open(loop, listener_address(listener), on_accept, &accepted, &second),
                 ST_OK);
    for (int i = 0; i < 20; i++) {
        int fd = connect_to(listener_address(listener));

        turn_until(i + 1);
        close(fd);
    }
    cr_assert_eq(accepted, 20);
    listener_close(&second);
}

Test(listener, unix_sockets_replace_stale_ones_but_no_files)
{
    char folder[] = "/tmp/meltguard-unit-XXXXXX";
    char path[64];

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "unix:%s/s", folder);
    const char *file = path + strlen("unix:");

    listen_at(path);
    listener_close(&listener);
    cr_assert_eq(access(file, F_OK), 0);
    listen_at(path);
    int fd = connect_to(listener_address(listener));

    turn_until(1);
    cr_assert_eq(accepted, 1);
    cr_assert_eq(last_from.sa.sa_family, AF_UNIX);
    close(fd);
    listener_close(&listener);
    unlink(file);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    struct address at;

    cr_assert_eq(address_parse(text_of(path), &at), ST_OK);
    cr_assert_eq(listener_open(loop, &at, on_accept, &accepted, &listener), ST_UNAVAILABLE);
    cr_assert_eq(access(file, F_OK), 0);
    unlink(file);
    rmdir(folder);
}

Test(listener, cannot_listen_elsewhere)
{
    struct address at;

    cr_assert_eq(address_parse(TEXT("192.0.2.1:0"), &at), ST_OK);
    cr_assert_eq(listener_open(loop, &at, on_accept, &accepted, &listener), ST_UNAVAILABLE);
    cr_assert_null(listener);
}

static void close_listener(void *owner, int fd, const struct address *from)
{
    UNUSED(owner);
    UNUSED(from);
    accepted++;
    close(fd);
    listener_close(&listener);
}

Test(listener, may_be_closed_inside_accept)
{
    struct address at;

    cr_assert_eq(address_parse(TEXT("127.0.0.1:0"), &at), ST_OK);
    cr_assert_eq(listener_open(loop, &at, close_listener, NULL, &listener), ST_OK);
    struct address to = *listener_address(listener);
    int first = connect_to(&to);
    int second = connect_to(&to);

    turn_until(1);
    cr_assert_eq(accepted, 1);
    close(first);
    close(second);
}

Test(listener, pauses_when_descriptors_run_out)
{
    struct rlimit before;

    listen_at("127.0.0.1:0");
    int fd = connect_to(listener_address(listener));

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none_left = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = before.rlim_max};

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none_left), 0);
    loop_run_once(loop, 10);
    cr_assert_eq(accepted, 0);
    uint64_t turn = loop_turn(loop);

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    turn_until(1);
    cr_assert_eq(accepted, 1);
    cr_assert_lt(loop_turn(loop) - turn, 50, "it did not spin");
    close(fd);
}
