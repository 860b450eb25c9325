/* SPDX-License-Identifier: Apache-2.0 */
/* test_watch.c - readings of several sources become one of a backend.  Opens sockets: listeners on the loopback play the
 * exporters. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "run/watch.h"
#include "unit/config/fixture.h"
#include "unit/net/responder.h"
#include "unit/whole.h"

#define SOURCES 2

static struct loop *loop;
static struct config *config;
static struct backend_set *set;
static struct watch *watch;
static struct responder there[SOURCES];
static char answers[SOURCES][512];
static int reports;

/* What an exporter tells from now on; NULL: it fails. */
static void tell(int source, const char *page)
{
    snprintf(answers[source], sizeof(answers[source]),
             "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", page ? "200 OK" : "500 No",
             page ? strlen(page) : 0, page ? page : "");
    there[source].answer = answers[source];
}

static void on_report(void *owner)
{
    cr_assert_eq(owner, &reports);
    reports++;
}

static void begin(void)
{
    char text[1024], error[CONFIG_ERROR_MAX], ports[SOURCES][ADDRESS_TEXT_MAX];

    cr_assert_eq(loop_new(&loop), ST_OK);
    for (int i = 0; i < SOURCES; i++) {
        struct text_out out;

        responder_open(&there[i], loop);
        text_out_init(&out, ports[i], sizeof(ports[i]));
        address_print(listener_address(there[i].listener), &out);
    }
    fixture_open();
    snprintf(text, sizeof(text),
             MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
             "telemetry: {stale_after: 200ms}\n"
             "backends:\n"
             "  - name: gpu0\n    url: http://127.0.0.1:1\n    dialect: openai\n    telemetry:\n"
             "      - {prometheus: 'http://%s/metrics', interval: 50ms}\n"
             "      - {prometheus: 'http://%s/metrics', interval: 50ms}\n"
             "  - {name: gpu1, url: 'http://127.0.0.1:1', dialect: openai}\n",
             ports[0], ports[1]);
    config = fixture_load_ok(text);
    cr_assert_eq(backend_set_open(config, error, &set), ST_OK);
    cr_assert_eq(watch_start(loop, set, on_report, &reports, &watch), ST_OK);
}

static void end(void)
{
    watch_stop(&watch);
    watch_stop(&watch);
    for (int i = 0; i < SOURCES; i++)
        responder_close(&there[i]);
    backend_set_close(&set);
    loop_free(&loop);
    config_unref(&config);
    fixture_close();
}

static int64_t temperature(void)
{
    return atomic_load(&set->backends[0].now.temperature_mc);
}

static void run_until_hot(int64_t temperature_mc)
{
    for (int i = 0; i < 300 && temperature() != temperature_mc; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(temperature(), temperature_mc);
}

#define HOT(degrees) "DCGM_FI_DEV_GPU_TEMP{gpu=\"0\",UUID=\"GPU-" #degrees "\"} " #degrees "\n"

WHOLE_TEST(watch, the_hottest_of_all_sources)
{
    tell(0, HOT(60));
    tell(1, HOT(75));
    cr_assert_not(watch_is_settled(watch, clock_monotonic_us()));
    run_until_hot(75000);
    cr_assert_gt(reports, 0);
    cr_assert(watch_is_settled(watch, clock_monotonic_us()));
    cr_assert_eq(atomic_load(&set->backends[1].now.sampled_us), 0);
    tell(1, HOT(50));
    run_until_hot(60000);
}

WHOLE_TEST(watch, source_that_fails_is_forgotten_once_it_is_stale)
{
    tell(0, HOT(60));
    tell(1, HOT(75));
    run_until_hot(75000);
    tell(1, NULL);
    for (int i = 0; i < 4; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(temperature(), 75000, "not at once");
    run_until_hot(60000);
}

WHOLE_TEST(watch, none_that_answers_is_waited_for_until_it_is_stale)
{
    int64_t since_us = set->backends[0].awaited_since_us;

    for (int i = 0; i < 10; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(reports, 0);
    cr_assert_not(watch_is_settled(watch, since_us + 199000));
    cr_assert(watch_is_settled(watch, since_us + 201000));
}

WHOLE_TEST(watch, takes_over_what_a_reload_changes)
{
    config->stale_after_ms = 5000;
    watch_configure(watch, config);
    cr_assert_not(watch_is_settled(watch, set->backends[0].awaited_since_us + 4900000));
}

WHOLE_TEST(watch, stopped_while_it_asks)
{
    loop_run_once(loop, 5);
    watch_stop(&watch);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop, 5);
    cr_assert_eq(reports, 0);
}
