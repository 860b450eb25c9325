/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus.c - polls a Prometheus exporter.      Runs on: control thread.
 * Either the timer is set or a fetch is pending, never both; so there is never a second poll beside a slow one.
 * A report is the last thing a poll does, as its receiver may stop the source. */
#include "telemetry/prometheus.h"

#include "net/resolve.h"

/* A node with 16 GPUs and all counters of DCGM on stays under 1 MiB. */
#define ANSWER_BYTES_MAX (4 * 1024 * 1024)

/* Up to a tenth of the interval is taken off at random, so that many gateways do not ask in step. */
static int64_t jitter_us(struct prometheus_source *p, int64_t interval_us)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return interval_us / 10 * (int64_t)(p->random >> 48) / 65536;
}

static void poll_later(struct prometheus_source *p)
{
    int64_t interval_us = p->base.conf->interval_ms * 1000;
    int64_t next_us = p->begun_us + interval_us - jitter_us(p, interval_us);

    timer_set(p->base.loop, &p->timer, MAX(next_us, loop_now_us(p->base.loop)));
}

static void report_failure(struct prometheus_source *p, enum status st)
{
    p->to.len = 0; /* the name may mean another address by now */
    poll_later(p);
    p->base.report(&p->base, st, NULL);
}

static void on_fetched(struct op *op, enum status st)
{
    struct prometheus_source *p = container_of(op, struct prometheus_source, fetched);
    struct load_sample sample;

    if (st == ST_OK && p->fetch.status != 200)
        st = ST_REFUSED;
    if (st == ST_OK)
        st = prometheus_parse(fetch_body(&p->fetch), &sample);
    if (st) {
        report_failure(p, st);
        return;
    }
    sample.taken_us = loop_now_us(p->base.loop);
    poll_later(p);
    p->base.report(&p->base, ST_OK, &sample);
}

static enum status poll_now(struct prometheus_source *p)
{
    const struct http_url *url = &p->base.conf->url;

    p->begun_us = loop_now_us(p->base.loop);
    if (p->to.len == 0) {
        enum status st = resolve_host_port(text_of(url->host_port), &p->to);
        if (st)
            return st;
    }
    struct fetch_terms terms = {
        .to = &p->to,
        .host = text_of(url->host_port),
        .target = text_of(url->path),
        .timeout_ms = (int)p->base.timeout_ms,
        .max_bytes = ANSWER_BYTES_MAX,
    };
    return fetch_start(&p->fetch, p->base.loop, &terms, &p->fetched);
}

static void on_timer(struct timer *timer)
{
    struct prometheus_source *p = container_of(timer, struct prometheus_source, timer);
    enum status st = poll_now(p);

    if (st != ST_PENDING)
        report_failure(p, st);
}

static enum status start(struct telemetry_source *source)
{
    struct prometheus_source *p = container_of(source, struct prometheus_source, base);

    fetch_init(&p->fetch);
    timer_init(&p->timer, on_timer);
    p->fetched.done = on_fetched;
    p->random = (uint64_t)loop_now_us(source->loop) ^ (uint64_t)(uintptr_t)p;
    timer_set(source->loop, &p->timer, loop_now_us(source->loop));
    return ST_OK;
}

static void stop(struct telemetry_source *source)
{
    struct prometheus_source *p = container_of(source, struct prometheus_source, base);

    timer_clear(&p->timer);
    fetch_fini(&p->fetch);
}

const struct telemetry_ops prometheus_ops = {
    .name = "prometheus",
    .source_bytes = sizeof(struct prometheus_source),
    .start = start,
    .stop = stop,
};
