/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - starts the parts, tells them to end, and watches over them.      Runs on: control thread.
 * The order of starting: configuration, backends, stores, workers, listeners, telemetry, admin.  Ending is the reverse. */
#include "run/control.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "admin/metrics.h"
#include "backend/probe.h"
#include "base/clock.h"
#include "base/log.h"
#include "dialect/dialect.h"
#include "run/desk.h"
#include "run/watch.h"
#include "run/worker.h"

#define TICK_US INT64_C(20000)
/* SIGINT: what is almost done may end. */
#define STOP_SOON_US INT64_C(1000000)
#define SIGNALS      3

struct control {
    struct config *config; /* counted: the current generation */
    const char *config_file;
    struct loop *loop;
    struct backend_set *backends;
    struct quota_store *store;
    struct keystore *keystore; /* NULL: no configuration so far has one */
    struct shared_gate shared;
    int workers_len;
    struct worker workers[WORKERS_MAX];
    struct gate *gates[WORKERS_MAX];
    struct watch *watch;
    struct prober *prober;
    struct desk *desk;
    struct event *signals[SIGNALS];
    struct timer drain_timer;
    int64_t drain_until_us; /* 0: not draining */
    bool is_stopping;       /* the workers' mail is posted */
};

/* --- what operators ask ------------------------------------------------------------------------------------------------- */

static void set_body(struct admin_answer *out, char *body)
{
    out->body = body;
    out->body_len = body ? strlen(body) : 0;
}

static enum status answer_health(void *owner, const struct admin_ask *ask, struct admin_answer *out,
                                 struct op *op)
{
    UNUSED(owner);
    UNUSED(ask);
    UNUSED(op);
    set_body(out, strdup("ok\n"));
    return ST_OK;
}

static int backends_up(const struct control *c)
{
    int up = 0;

    for (int i = 0; i < c->backends->len; i++)
        up += atomic_load(&c->backends->backends[i].now.is_up);
    return up;
}

/* Ready: would serve a request now, as far as this gateway is concerned. */
static enum status answer_ready(void *owner, const struct admin_ask *ask, struct admin_answer *out,
                                struct op *op)
{
    const struct control *c = owner;
    bool is_draining = atomic_load(&c->shared.is_draining);
    bool is_store_up = quota_store_is_up(c->store);
    bool is_settled = watch_is_settled(c->watch, clock_monotonic_us());
    int up = backends_up(c);
    bool is_ready = !is_draining && is_store_up && is_settled && up > 0;
    char *body = NULL;

    UNUSED(ask);
    UNUSED(op);
    if (asprintf(&body, "%s\ndraining: %s\nquota_store: %s\ntelemetry: %s\nbackends_up: %d of %d\n",
                 is_ready ? "ready" : "not ready", is_draining ? "yes" : "no",
                 quota_store_words(c->store), is_settled ? "known" : "awaited", up,
                 c->backends->len) < 0)
        body = NULL;
    out->status = is_ready ? 200 : 503;
    set_body(out, body);
    return ST_OK;
}

static enum status answer_metrics(void *owner, const struct admin_ask *ask,
                                  struct admin_answer *out, struct op *op)
{
    const struct control *c = owner;
    struct metrics_source source = {c->gates,   c->workers_len, c->backends,
                                    &c->shared, c->store,       c->config->generation};
    enum status st = metrics_print(&source, clock_monotonic_us(), &out->body, &out->body_len);

    UNUSED(ask);
    UNUSED(op);
    out->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return st;
}

static const struct admin_route routes[] = {
    {"/healthz", answer_health, METHOD_GET, ACCESS_OPEN},
    {"/readyz", answer_ready, METHOD_GET, ACCESS_OPEN},
    {"/metrics", answer_metrics, METHOD_GET, ACCESS_OPEN},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};

/* --- news --------------------------------------------------------------------------------------------------------------- */

/* A backend cooled down, or is back: those who wait may be let in. */
static void kick_waiting(struct control *c)
{
    for (int i = 0; i < c->workers_len; i++) {
        if (atomic_load(&c->shared.waiting_by_worker[i]) > 0)
            gate_kick(c->gates[i]);
    }
}

static void on_reading(void *owner)
{
    kick_waiting(owner);
}

static void on_backend_returned(void *owner, struct backend *backend)
{
    UNUSED(backend);
    kick_waiting(owner);
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static void stop_all(struct control *c)
{
    if (c->is_stopping)
        return;
    c->is_stopping = true;
    timer_clear(&c->drain_timer);
    for (int i = 0; i < c->workers_len; i++)
        worker_stop(&c->workers[i]);
    loop_stop(c->loop);
}

static void on_drain_timer(struct timer *timer)
{
    struct control *c = container_of(timer, struct control, drain_timer);
    int64_t now_us = loop_now_us(c->loop);

    if (shared_requests(&c->shared) == 0 || now_us >= c->drain_until_us) {
        stop_all(c);
        return;
    }
    timer_set(c->loop, timer, now_us + TICK_US);
}

static void drain(struct control *c, int64_t for_us)
{
    int64_t now_us = loop_now_us(c->loop);

    if (c->drain_until_us) {
        stop_all(c); /* asked twice */
        return;
    }
    log_event(LOG_NOTE, "draining", "requests=%d for_ms=%lld", shared_requests(&c->shared),
              (long long)(for_us / 1000));
    c->drain_until_us = now_us + for_us;
    atomic_store(&c->shared.is_draining, true);
    for (int i = 0; i < c->workers_len; i++)
        worker_drain(&c->workers[i]);
    timer_set(c->loop, &c->drain_timer, now_us + TICK_US);
}

/* --- reload ------------------------------------------------------------------------------------------------------------- */

static enum status load(const char *file, struct config **out)
{
    static const struct config_known known = {dialect_names};
    char error[CONFIG_ERROR_MAX];
    enum status st = config_load(file, &known, clock_wall_us() / 1000000, error, out);

    if (st)
        fprintf(stderr, "%s\n", error);
    return st;
}

static void report_restart_changes(const struct control *c, const struct config *next)
{
    char paths[1024];
    struct text_out out;

    text_out_init(&out, paths, sizeof(paths));
    config_restart_changes(c->backends->config, next, &out);
    if (out.len)
        log_event(LOG_WARN, "restart_needed", "changed=\"%s\"", paths);
}

/* A keystore that is new is opened; one that is there stays. */
static enum status open_keystore(struct control *c, const struct config *config)
{
    char error[CONFIG_ERROR_MAX] = "";
    enum status st = ST_OK;

    if (!c->keystore && config_keystore(config))
        st = keystore_open(config, error, &c->keystore);
    if (st)
        fprintf(stderr, "meltguard: %s\n", *error ? error : status_name(st));
    return st;
}

static enum status load_next(struct control *c, struct config **out)
{
    enum status st = load(c->config_file, out);

    if (st)
        return st;
    st = open_keystore(c, *out);
    if (st)
        config_unref(out);
    return st;
}

/* A file that is wrong changes nothing. */
static void reload(struct control *c)
{
    struct config *next = NULL;

    if (load_next(c, &next)) {
        log_event(LOG_ERROR, "reload_refused", "file=%s", c->config_file);
        return;
    }
    next->generation = c->config->generation + 1;
    report_restart_changes(c, next);
    desk_configure(c->desk, next, c->keystore);
    config_unref(&c->config);
    c->config = next;
    log_set_level((enum log_level)next->log_level);
    prober_configure(c->prober, next);
    watch_configure(c->watch, next);
    for (int i = 0; i < c->workers_len; i++)
        worker_configure(&c->workers[i], next, c->keystore);
    log_event(LOG_NOTE, "reloaded", "generation=%d policy=%s", next->generation, next->policy.name);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct control *c = arg;

    UNUSED(what);
    if (number == SIGHUP)
        reload(c);
    else
        drain(c, number == SIGTERM ? c->config->drain_ms * 1000 : STOP_SOON_US);
}

static enum status take_signals(struct control *c)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < SIGNALS; i++) {
        c->signals[i] = evsignal_new(loop_base(c->loop), numbers[i], on_signal, c);
        if (!c->signals[i] || evsignal_add(c->signals[i], NULL))
            return ST_UNAVAILABLE;
    }
    return ST_OK;
}

/* --- starting ----------------------------------------------------------------------------------------------------------- */

/* As many descriptors as the system allows: a connection is one, its upstream another. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            log_event(LOG_WARN, "descriptor_limit", "error=\"%m\"");
    }
}

static void log_listening(const char *event, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, text, sizeof(text));
    address_print(address, &out);
    log_event(LOG_NOTE, event, "address=%s", text);
}

static enum status open_workers(struct control *c)
{
    struct gate_terms terms = {
        .config = c->config,
        .backends = c->backends,
        .shared = &c->shared,
        .store = c->store,
        .keystore = c->keystore,
        .peers = c->gates,
    };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    c->workers_len = (int)(c->config->workers ? c->config->workers : MAX(cores, 1));
    c->workers_len = MIN(c->workers_len, WORKERS_MAX);
    terms.peers_len = c->workers_len;
    for (int i = 0; i < c->workers_len; i++) {
        enum status st;

        terms.worker = i;
        st = worker_open(&c->workers[i], &terms);
        if (st)
            return st;
        c->gates[i] = c->workers[i].gate;
    }
    return ST_OK;
}

/* All workers on all addresses; a Unix path has one listener, and so one worker. */
static enum status listen_all(struct control *c)
{
    for (int i = 0; i < c->config->listen_len; i++) {
        struct address at = c->config->listen[i];
        int listeners = at.sa.sa_family == AF_UNIX ? 1 : c->workers_len;
        enum status st = listener_check_free(&at);

        for (int worker = 0; worker < listeners && st == ST_OK; worker++)
            st = worker_listen(&c->workers[worker], &at);
        if (st)
            return st;
        log_listening("listening", &at);
    }
    return ST_OK;
}

static enum status open_shared(struct control *c)
{
    char error[CONFIG_ERROR_MAX] = "";
    enum status st = backend_set_open(c->config, error, &c->backends);

    if (st == ST_OK)
        st = quota_store_open(c->config, error, &c->store);
    if (st) {
        fprintf(stderr, "meltguard: %s\n", *error ? error : status_name(st));
        return st;
    }
    for (int i = 0; i < c->backends->len; i++)
        c->backends->backends[i].dialect = dialect_find(text_of(c->config->backends[i].dialect));
    return open_keystore(c, c->config);
}

static enum status open_desk(struct control *c)
{
    struct desk_terms terms = {
        .loop = c->loop,
        .config = c->config,
        .store = c->store,
        .keystore = c->keystore,
        .workers = c->workers,
        .workers_len = c->workers_len,
        .own = {routes, c},
    };

    enum status st = desk_open(&terms, &c->desk);

    for (int i = 0; i < c->workers_len && st == ST_OK; i++) {
        c->gates[i]->charged = desk_charged;
        c->gates[i]->charged_owner = c->desk;
    }
    return st;
}

static enum status open_control(struct control *c)
{
    enum status st = watch_start(c->loop, c->backends, on_reading, c, &c->watch);

    if (st == ST_OK)
        st = prober_start(c->loop, c->backends, on_backend_returned, c, &c->prober);
    if (st == ST_OK)
        st = open_desk(c);
    return st;
}

static enum status start(struct control *c)
{
    enum status st = load(c->config_file, &c->config);

    if (st)
        return st;
    c->config->generation = 1;
    log_set_level((enum log_level)c->config->log_level);
    raise_descriptor_limit();
    st = loop_new(&c->loop);
    if (st == ST_OK)
        st = take_signals(c);
    if (st == ST_OK)
        st = open_shared(c);
    if (st == ST_OK)
        st = open_workers(c);
    if (st == ST_OK)
        st = listen_all(c);
    if (st == ST_OK)
        st = open_control(c);
    for (int i = 0; i < c->workers_len && st == ST_OK; i++)
        st = worker_start(&c->workers[i]);
    return st;
}

static void end(struct control *c)
{
    desk_close(c->desk);
    for (int i = 0; i < c->workers_len; i++)
        worker_join(&c->workers[i]);
    for (int i = 0; i < c->workers_len; i++)
        worker_close(&c->workers[i]);
    for (int i = 0; i < c->workers_len; i++)
        worker_free(&c->workers[i]);
    desk_free(&c->desk);
    prober_stop(&c->prober);
    watch_stop(&c->watch);
    keystore_close(&c->keystore);
    if (c->store)
        quota_store_close(&c->store);
    backend_set_close(&c->backends);
    for (int i = 0; i < SIGNALS; i++) {
        if (c->signals[i])
            event_free(c->signals[i]);
    }
    if (c->loop)
        loop_free(&c->loop);
    if (c->config)
        config_unref(&c->config);
}

int control_run(const char *config_file)
{
    struct control *c = calloc(1, sizeof(*c));
    enum status st;

    if (!c)
        return EXIT_FAILURE;
    c->config_file = config_file;
    timer_init(&c->drain_timer, on_drain_timer);
    st = start(c);
    if (st == ST_OK) {
        log_event(LOG_NOTE, "started", "version=%s workers=%d backends=%d policy=%s",
                  MELTGUARD_VERSION, c->workers_len, c->backends->len, c->config->policy.name);
        loop_run(c->loop);
        log_event(LOG_NOTE, "stopped", "requests=%d", shared_requests(&c->shared));
    } else {
        for (int i = 0; i < c->workers_len; i++) {
            if (c->workers[i].is_running)
                worker_stop(&c->workers[i]);
        }
    }
    end(c);
    free(c);
    return st ? EXIT_FAILURE : EXIT_SUCCESS;
}

int control_check(const char *config_file)
{
    struct config *config = NULL;

    if (load(config_file, &config))
        return EXIT_FAILURE;
    printf("%s: ok\n", config_file);
    config_unref(&config);
    return EXIT_SUCCESS;
}
