/* SPDX-License-Identifier: Apache-2.0 */
/* test_prometheus.c - polling over in-memory streams: an answer in time, late, wrong, never; and stopping at any point. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "telemetry/prometheus.h"

#define INTERVAL_MS 20
#define TIMEOUT_MS  30

static const struct telemetry_conf conf = {
    .kind = TELEMETRY_PROMETHEUS,
    .url = {.host_port = "127.0.0.1:9", .path = "/metrics"},
    .interval_ms = INTERVAL_MS,
};

static struct loop *loop;
static struct telemetry_source *source;
static struct stream exporter; /* the other end of the poll at work */
static int reports;
static enum status last;
static struct load_sample sample;
static bool stops_when_told;

/* The next poll talks to the exporter, not to a socket. */
static void plug_in(void)
{
    struct prometheus_source *p = container_of(source, struct prometheus_source, base);

    stream_close(&exporter);
    cr_assert_eq(stream_pair(&p->fetch.stream, &exporter, loop, 65536), ST_OK);
}

static void on_report(struct telemetry_source *from, enum status st, const struct load_sample *got)
{
    cr_assert_eq(from, source);
    cr_assert_eq(got == NULL, st != ST_OK);
    reports++;
    last = st;
    if (got)
        sample = *got;
    if (stops_when_told)
        telemetry_stop(&source);
    else
        plug_in();
}

static void set_up(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(telemetry_start(loop, &conf, TIMEOUT_MS, on_report, NULL, &source), ST_OK);
    cr_assert_eq(reports, 0, "nothing is reported inside the start call");
    plug_in();
}

static void tear_down(void)
{
    telemetry_stop(&source);
    stream_close(&exporter);
    loop_run_once(loop, 0);
    loop_free(&loop);
}

TestSuite(prometheus, .init = set_up, .fini = tear_down);

/* Turns until so much was reported, for a second at most. */
static void run_until(int wanted)
{
    int64_t end_us = clock_monotonic_us() + 1000000;

    while (reports < wanted && clock_monotonic_us() < end_us)
        loop_run_once(loop, 5);
    cr_assert_eq(reports, wanted);
}

/* Turns until the exporter was asked. */
static void await_question(void)
{
    char buf[512] = "";
    size_t len = 0;
    int64_t end_us = clock_monotonic_us() + 1000000;

    while (len == 0 && clock_monotonic_us() < end_us) {
        loop_run_once(loop, 5);
        enum status st = stream_read(&exporter, buf, sizeof(buf) - 1, &len);
        cr_assert(st == ST_OK || st == ST_PENDING);
    }
    cr_assert(strstr(buf, "GET /metrics HTTP/1.1\r\n") == buf, "%s", buf);
    cr_assert_not_null(strstr(buf, "Host: 127.0.0.1:9\r\n"));
}

static void answer(const char *bytes)
{
    struct iovec iov = {(void *)bytes, strlen(bytes)};
    size_t len;

    cr_assert_eq(stream_write(&exporter, &iov, 1, &len), ST_OK);
    cr_assert_eq(len, strlen(bytes));
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: "

Test(prometheus, reports_a_sample_and_polls_again)
{
    for (int i = 1; i <= 3; i++) {
        await_question();
        answer(HEAD "24\r\n\r\nDCGM_FI_DEV_GPU_TEMP 61\n");
        run_until(i);
        cr_assert_eq(last, ST_OK);
        cr_assert_eq(sample.temperature_mc, 61000);
        cr_assert_eq(sample.queue_depth, LOAD_MISSING);
        cr_assert(sample.taken_us > 0 && sample.taken_us <= clock_monotonic_us());
    }
}

Test(prometheus, keeps_its_interval)
{
    struct prometheus_source *p = container_of(source, struct prometheus_source, base);

    for (int i = 1; i <= 3; i++) {
        await_question();
        int64_t begun_us = p->begun_us;
        answer(HEAD "0\r\n\r\n");
        run_until(i);
        cr_assert(timer_is_set(&p->timer));
        cr_assert_leq(p->timer.deadline_us, begun_us + INTERVAL_MS * 1000);
        cr_assert_geq(p->timer.deadline_us, begun_us + INTERVAL_MS * 900);
    }
}

Test(prometheus, says_what_went_wrong)
{
    static const struct {
        const char *answer;
        enum status st;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ST_REFUSED},
        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", ST_REFUSED},
        {HEAD "6\r\n\r\n<html>", ST_INVALID},
        {"nonsense\r\n\r\n", ST_INVALID},
    };

    for (int i = 0; i < (int)ARRAY_LEN(cases); i++) {
        await_question();
        answer(cases[i].answer);
        run_until(i + 1);
        cr_assert_eq(last, cases[i].st, "%s", cases[i].answer);
    }
    await_question();
    answer(HEAD "24\r\n\r\nDCGM_FI_DEV_GPU_TEMP 61\n");
    run_until((int)ARRAY_LEN(cases) + 1);
    cr_assert_eq(last, ST_OK);
}

Test(prometheus, never_asks_twice_at_a_time)
{
    struct prometheus_source *p = container_of(source, struct prometheus_source, base);

    await_question();
    cr_assert(!timer_is_set(&p->timer));
    run_until(1);
    cr_assert_eq(last, ST_TIMEOUT);
    cr_assert(timer_is_set(&p->timer));
}

Test(prometheus, an_exporter_that_goes_away_is_unavailable)
{
    await_question();
    answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsim");
    stream_close(&exporter);
    run_until(1);
    cr_assert_eq(last, ST_UNAVAILABLE);
}

Test(prometheus, may_be_stopped_from_its_report)
{
    stops_when_told = true;
    await_question();
    answer(HEAD "0\r\n\r\n");
    run_until(1);
    cr_assert_null(source);
    loop_run_once(loop, INTERVAL_MS);
    cr_assert_eq(reports, 1);
}

Test(prometheus, may_be_stopped_while_it_asks)
{
    await_question();
    telemetry_stop(&source);
    cr_assert_null(source);
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(reports, 0);
    telemetry_stop(&source); /* harmless */
}

Test(prometheus, may_be_stopped_before_it_asks)
{
    telemetry_stop(&source);
    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(reports, 0);
}

Test(prometheus, a_name_that_cannot_be_resolved_is_reported)
{
    static const struct telemetry_conf nowhere = {
        .kind = TELEMETRY_PROMETHEUS,
        .url = {.host_port = "no-port-here", .path = "/metrics"},
        .interval_ms = INTERVAL_MS,
    };

    telemetry_stop(&source);
    stops_when_told = true;
    cr_assert_eq(telemetry_start(loop, &nowhere, TIMEOUT_MS, on_report, NULL, &source), ST_OK);
    run_until(1);
    cr_assert_eq(last, ST_INVALID);
}
