/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - see run.h.
 * One thread, one epoll.  Connections that wait for nothing stand in a ring and are used in turn.  A request at a rate has
 * a moment when it is due, whether or not a connection is free then; its latency counts from that moment, so that a slow
 * answer is not hidden by the requests that it held up (Gil Tene's coordinated omission). */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "accounts.h"
#include "answer.h"
#include "ask.h"

#define SECOND_NS    INT64_C(1000000000)
#define GRACE_NS     (5 * SECOND_NS) /* for answers that are still out at the end */
#define EVENTS_MAX   256
#define READ_BYTES   262144
#define FAILURES_MAX 1000

struct connection {
    int fd;
    bool is_busy;
    int64_t due_ns; /* of the request that is out */
    struct answer answer;
};

struct load {
    const struct options *options;
    struct result *result;
    int epoll;
    struct connection *connections; /* owned */
    int *idle;                      /* owned: a ring of indices */
    int idle_first, idle_len;
    int64_t begin_ns, end_ns;
    int failures;
    struct ask ask;
    struct accounts accounts;
    char buffer[READ_BYTES];
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void put_idle(struct load *load, struct connection *c)
{
    int place = (load->idle_first + load->idle_len) % load->options->connections;

    load->idle[place] = (int)(c - load->connections);
    load->idle_len++;
}

static struct connection *take_idle(struct load *load)
{
    struct connection *c = &load->connections[load->idle[load->idle_first]];

    load->idle_first = (load->idle_first + 1) % load->options->connections;
    load->idle_len--;
    return c;
}

/* --- connections -------------------------------------------------------------------------------------------------------- */

/* Waits for the connection, then makes it non-blocking. */
static bool open_connection(struct load *load, struct connection *c)
{
    const struct sockaddr_in *to = &load->options->to;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) == 0 &&
        fcntl(c->fd, F_SETFL, O_NONBLOCK) == 0 &&
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return true;
    close(c->fd);
    c->fd = -1;
    return false;
}

static void open_again(struct load *load, struct connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (!open_connection(load, c))
        load->failures++;
}

/* Within an answer, or instead of one. */
static void broke(struct load *load, struct connection *c)
{
    load->result->broken++;
    load->failures++;
    c->is_busy = false;
    open_again(load, c);
    put_idle(load, c);
}

/* --- requests ----------------------------------------------------------------------------------------------------------- */

static void send_request(struct load *load, struct connection *c, int64_t due_ns)
{
    struct ask *ask = &load->ask;

    ask_set_account(ask, accounts_next(&load->accounts));
    answer_begin(&c->answer);
    c->due_ns = due_ns;
    c->is_busy = true;
    load->result->sent++;
    if (c->fd < 0)
        open_again(load, c);
    if (c->fd < 0 || send(c->fd, ask->bytes, ask->len, MSG_NOSIGNAL) != (ssize_t)ask->len)
        broke(load, c);
}

static int64_t due_ns_of(const struct load *load, int64_t request)
{
    return load->begin_ns + (int64_t)((double)request * (double)SECOND_NS / load->options->rate);
}

static int in_flight(const struct load *load)
{
    return load->options->connections - load->idle_len;
}

static bool has_all_sent(const struct load *load, int64_t now)
{
    return load->result->sent >= load->options->requests || now >= load->end_ns;
}

/* All that are due; gives the moment of the next one, INT64_MAX where only an answer can make place for it. */
static int64_t send_due(struct load *load)
{
    int64_t now = now_ns();

    while (load->idle_len > 0 && in_flight(load) < load->options->in_flight &&
           !has_all_sent(load, now) && load->failures < FAILURES_MAX) {
        int64_t due = load->options->rate > 0 ? due_ns_of(load, load->result->sent) : now;

        if (due > now)
            return due;
        send_request(load, take_idle(load), due);
        now = now_ns();
    }
    return INT64_MAX;
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void count(struct load *load, const struct connection *c)
{
    const struct answer *answer = &c->answer;
    struct tally *tally = &load->result->statuses[answer->status];

    if (tally->count == 0 || answer->body_bytes < tally->bytes_min)
        tally->bytes_min = answer->body_bytes;
    if (answer->body_bytes > tally->bytes_max)
        tally->bytes_max = answer->body_bytes;
    tally->count++;
    load->result->answered++;
    histogram_add(&load->result->latency, now_ns() - c->due_ns);
}

static void take_bytes(struct load *load, struct connection *c, size_t len)
{
    enum answer_state state = answer_feed(&c->answer, load->buffer, len);

    if (state == ANSWER_MORE)
        return;
    if (state == ANSWER_BROKEN) {
        broke(load, c);
        return;
    }
    count(load, c);
    c->is_busy = false;
    if (c->answer.closes)
        open_again(load, c);
    put_idle(load, c);
}

static void on_readable(struct load *load, struct connection *c)
{
    ssize_t len = recv(c->fd, load->buffer, sizeof(load->buffer), 0);

    if (len > 0 && c->is_busy) {
        take_bytes(load, c, (size_t)len);
    } else if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    } else if (c->is_busy) {
        broke(load, c);
    } else {
        load->result->reconnects++;
        open_again(load, c);
    }
}

static void wait_and_read(struct load *load, int64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t wait_ns = until_ns - now_ns();

    if (wait_ns < 0)
        wait_ns = 0;
    struct timespec wait = {.tv_sec = wait_ns / SECOND_NS, .tv_nsec = wait_ns % SECOND_NS};
    int len = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);

    for (int i = 0; i < len; i++)
        on_readable(load, events[i].data.ptr);
}

/* --- the whole ---------------------------------------------------------------------------------------------------------- */

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void send_and_receive(struct load *load)
{
    load->begin_ns = now_ns();
    load->end_ns = load->begin_ns + (int64_t)(load->options->seconds * (double)SECOND_NS);
    int64_t next_ns = send_due(load);

    while (!has_all_sent(load, now_ns()) && load->failures < FAILURES_MAX) {
        wait_and_read(load, min_of(next_ns, load->end_ns));
        next_ns = send_due(load);
    }
    int64_t give_up_ns = now_ns() + GRACE_NS;

    while (!load->options->is_no_wait && in_flight(load) > 0 && now_ns() < give_up_ns)
        wait_and_read(load, give_up_ns);
    load->result->unanswered = in_flight(load);
    load->result->seconds = (double)(now_ns() - load->begin_ns) / (double)SECOND_NS;
}

static bool open_all(struct load *load)
{
    for (int i = 0; i < load->options->connections; i++) {
        if (!open_connection(load, &load->connections[i]))
            return false;
        put_idle(load, &load->connections[i]);
    }
    return true;
}

bool run(const struct options *options, struct result *out)
{
    struct load *load = calloc(1, sizeof(*load));

    if (!load)
        return false;
    prctl(PR_SET_TIMERSLACK, 1UL);
    load->options = options;
    load->result = out;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc((size_t)options->connections, sizeof(*load->connections));
    load->idle = calloc((size_t)options->connections, sizeof(*load->idle));
    accounts_init(&load->accounts, options);
    bool is_good = load->epoll >= 0 && load->connections && load->idle &&
                   ask_init(&load->ask, options) && open_all(load);

    if (is_good)
        send_and_receive(load);
    free(load->connections); /* the descriptors stay open until the process ends */
    free(load->idle);
    free(load);
    return is_good;
}
