/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - simgpu: a simulated image backend with a simulated GPU, for the demo, the tests and the benchmarks. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>

#include "net/listener.h"
#include "simgpu/connection.h"
#include "simgpu/sim.h"

static void on_accept(void *owner, int fd, const struct address *from)
{
    UNUSED(from);
    connection_accept(owner, fd);
}

static void on_signal(evutil_socket_t number, short what, void *owner)
{
    UNUSED(number);
    UNUSED(what);
    loop_stop(owner);
}

static int port_of(const struct address *address)
{
    const struct sockaddr_in *v4 = (const void *)&address->sa;
    const struct sockaddr_in6 *v6 = (const void *)&address->sa;

    if (address->sa.sa_family == AF_INET)
        return ntohs(v4->sin_port);
    return address->sa.sa_family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

static void announce(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, text, sizeof(text));
    address_print(address, &out);
    printf("simgpu: listening on %s\n", text);
    fflush(stdout);
}

static void run(struct loop *loop)
{
    struct event *term = evsignal_new(loop_base(loop), SIGTERM, on_signal, loop);
    struct event *interrupt = evsignal_new(loop_base(loop), SIGINT, on_signal, loop);

    ASSERT(term != NULL && interrupt != NULL);
    event_add(term, NULL);
    event_add(interrupt, NULL);
    loop_run(loop);
    event_free(interrupt);
    event_free(term);
}

int main(int argc, char **argv)
{
    static struct sim sim;
    struct sim_options options;
    struct loop *loop;
    struct listener *listener;
    enum status st = options_parse(argc, argv, &options);

    if (st)
        return st == ST_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE;
    signal(SIGPIPE, SIG_IGN);
    if (loop_new(&loop)) {
        fprintf(stderr, "simgpu: no event loop\n");
        return EXIT_FAILURE;
    }
    if (listener_open(loop, &options.listen, on_accept, &sim, &listener)) {
        loop_free(&loop);
        return EXIT_FAILURE;
    }
    sim_init(&sim, &options, loop, port_of(listener_address(listener)));
    announce(listener_address(listener));
    run(loop);
    listener_close(&listener);
    sim_fini(&sim);
    loop_free(&loop);
    return EXIT_SUCCESS;
}
