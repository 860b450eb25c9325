/* SPDX-License-Identifier: Apache-2.0 */
/* test_probe.c - an ejected backend comes back when it answers.  Opens a socket: a listener on the loopback plays it. */
#include <string.h>

#include "backend/probe.h"
#include "unit/config/fixture.h"
#include "unit/net/responder.h"
#include "unit/whole.h"

static struct loop *loop;
static struct config *config;
static struct backend_set *set;
static struct prober *prober;
static struct responder there;
static int returned;

static void on_returned(void *owner, struct backend *backend)
{
    cr_assert_eq(owner, &returned);
    cr_assert_eq(backend, &set->backends[0]);
    returned++;
}

static void begin(void)
{
    char error[CONFIG_ERROR_MAX];

    fixture_open();
    config = fixture_load_ok(MAIN_FILE "health: {probe_interval: 10ms, eject_after: 3}\n"
                                       "timeouts: {connect: 20ms}\n");
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(backend_set_open(config, error, &set), ST_OK);
    responder_open(&there, loop);
    there.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    set->backends[0].address = *listener_address(there.listener);
    cr_assert_eq(prober_start(loop, set, on_returned, &returned, &prober), ST_OK);
}

static void end(void)
{
    prober_stop(&prober);
    prober_stop(&prober);
    responder_close(&there);
    backend_set_close(&set);
    loop_free(&loop);
    config_unref(&config);
    fixture_close();
}

static void eject(void)
{
    for (int i = 0; i < 3; i++)
        (void)backend_failed(&set->backends[0], 3);
    cr_assert_not(atomic_load(&set->backends[0].now.is_up));
}

static bool is_up(void)
{
    return atomic_load(&set->backends[0].now.is_up);
}

static void run_ms(int ms)
{
    for (int i = 0; i < ms / 5; i++)
        loop_run_once(loop, 5);
}

static void run_until_up(void)
{
    for (int i = 0; i < 200 && !is_up(); i++)
        loop_run_once(loop, 5);
}

static void run_until_asked(int times)
{
    for (int i = 0; i < 200 && there.asked < times; i++)
        loop_run_once(loop, 5);
    cr_assert_geq(there.asked, times);
}

WHOLE_TEST(probe, one_that_is_up_is_left_alone)
{
    run_ms(50);
    cr_assert_eq(there.asked, 0);
}

WHOLE_TEST(probe, brings_it_back)
{
    eject();
    run_until_up();
    cr_assert(is_up());
    cr_assert_eq(returned, 1);
    cr_assert(strstr(there.request, "GET / HTTP/1.1\r\n"));
    cr_assert(backend_failed(&set->backends[0], 3), "one more failure takes it out again");
}

WHOLE_TEST(probe, any_answer_will_do)
{
    there.answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    eject();
    run_until_up();
    cr_assert(is_up());
}

WHOLE_TEST(probe, but_not_where_a_path_is_named)
{
    there.answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    set->backends[0].probe_path = "/health";
    eject();
    run_until_asked(2);
    cr_assert_not(is_up());
    cr_assert(strstr(there.request, "GET /health HTTP/1.1\r\n"));
    there.answer = "HTTP/1.1 204 No Content\r\n\r\n";
    run_until_up();
    cr_assert(is_up());
}

WHOLE_TEST(probe, nonsense_is_no_answer)
{
    there.answer = "hello\r\n";
    eject();
    run_ms(60);
    cr_assert_not(is_up());
}

WHOLE_TEST(probe, silence_times_out_and_is_tried_again)
{
    there.answer = NULL;
    eject();
    run_until_asked(2);
    cr_assert_not(is_up());
}

WHOLE_TEST(probe, refused)
{
    listener_close(&there.listener);
    eject();
    run_ms(50);
    cr_assert_not(is_up());
}

WHOLE_TEST(probe, stopped_while_it_waits)
{
    there.answer = NULL;
    eject();
    run_until_asked(1);
    cr_assert_eq(there.asked, 1);
    prober_stop(&prober);
    run_ms(40);
    cr_assert_eq(returned, 0);
}
