/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_out.c - answers that a turn gathers: written at its end, later where the socket is full, or never. */
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <string.h>

#define NOWHERE "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"
#define LAST    "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

static struct scripted s;
static struct far_end *far;
static struct client *c;
static struct turn_hook at_turn_end;
static struct far_end *watched[2];
static size_t seen_bytes; /* by the watched, when the hooks of the turn had run */

static void begin(void)
{
    scripted_open(&s, "timeouts: {keep_alive: 20s, write: 20s}\n");
    c = scripted_client(&s, 50, &far);
}

static void end(void)
{
    scripted_close(&s);
}

/* All of an answer, little by little; the client may be gone then. */
static void sip_all(void)
{
    for (int i = 0; i < 120; i++) {
        far_sip(far, 7);
        scripted_turns(&s, 1);
    }
    (void)far_read(far);
}

static void gets_the_rest_and_the_end(void)
{
    sip_all();
    FAR_HAS(far, "}}");
    cr_assert(far->has_fin);
}

/* Of a turn in which a full socket took only the begin of an answer. */
static void fill(const char *request)
{
    far_push(far, request, strlen(request));
    scripted_turns(&s, 2);
    cr_assert_not_null(c->backlog);
    cr_assert_null(c->req, "a short answer is no request's any more");
}

static void watch(struct turn_hook *hook)
{
    UNUSED(hook);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        seen_bytes += strlen(far_read(watched[i]));
}

WHOLE_TEST(client_out, answers_of_a_turn_leave_together_at_its_end)
{
    scripted_client(&s, 65536, &watched[0]);
    scripted_client(&s, 65536, &watched[1]);
    scripted_turns(&s, 1);
    seen_bytes = 0;
    far_say(watched[0], NOWHERE);
    far_say(watched[1], NOWHERE);
    turn_hook_init(&at_turn_end, watch);
    loop_at_turn_end(s.loop, &at_turn_end);
    scripted_turns(&s, 1);
    cr_assert_eq(seen_bytes, 0);
    FAR_HAS(watched[0], "404 Not Found");
    FAR_HAS(watched[1], "404 Not Found");
    cr_assert_eq(s.gate->clients_len, 3);
}

WHOLE_TEST(client_out, what_a_full_socket_does_not_take_follows)
{
    fill(NOWHERE);
    sip_all();
    FAR_HAS(far, "}}");
    cr_assert_eq(scripted_count(far->got, "404 Not Found"), 1);
    cr_assert_null(c->backlog);
    cr_assert(timer_is_set(&c->timer), "it is idle, and not for ever");
}

WHOLE_TEST(client_out, the_next_request_waits_for_what_is_left_of_an_answer)
{
    fill(NOWHERE);
    far_push(far, NOWHERE, strlen(NOWHERE));
    scripted_turns(&s, 3);
    cr_assert_null(c->req);
    cr_assert_null(c->slab, "it is not read");
    sip_all();
    sip_all();
    cr_assert_eq(scripted_count(far->got, "404 Not Found"), 2);
}

WHOLE_TEST(client_out, the_end_waits_for_what_is_left_of_the_last_answer)
{
    c = scripted_client(&s, 70, &far);
    fill(LAST);
    cr_assert(!far->has_fin);
    gets_the_rest_and_the_end();
    cr_assert_eq(s.gate->clients_len, 1);
}

WHOLE_TEST(client_out, a_client_that_has_ended_gets_the_rest)
{
    fill(NOWHERE);
    stream_shut_write(&far->stream);
    gets_the_rest_and_the_end();
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client_out, a_client_that_never_reads_is_closed)
{
    s.config->write_timeout_ms = 20;
    fill(NOWHERE);
    SCRIPTED_UNTIL(&s, s.gate->clients_len == 0);
}

WHOLE_TEST(client_out, drained_with_a_rest_to_be_read)
{
    fill(NOWHERE);
    atomic_store(&s.shared.is_draining, true);
    gate_drain(s.gate);
    cr_assert_eq(s.gate->clients_len, 1);
    gets_the_rest_and_the_end();
    cr_assert_eq(s.gate->clients_len, 0);
}

/* It must not look whole. */
WHOLE_TEST(client_out, stopped_with_a_rest_to_be_read)
{
    fill(NOWHERE);
    gate_stop(s.gate);
    cr_assert_eq(s.gate->clients_len, 0);
    (void)far_read(far);
    cr_assert(far->is_broken);
}

static void leave(struct turn_hook *hook)
{
    UNUSED(hook);
    stream_reset(&far->stream);
}

WHOLE_TEST(client_out, a_client_that_leaves_before_the_end_of_the_turn)
{
    far_push(far, NOWHERE, strlen(NOWHERE));
    turn_hook_init(&at_turn_end, leave);
    loop_at_turn_end(s.loop, &at_turn_end);
    scripted_turns(&s, 2);
    cr_assert_eq(s.gate->clients_len, 0);
}

WHOLE_TEST(client_out, more_answers_than_a_turn_gathers)
{
    enum { CLIENTS = 140 };
    static struct far_end *ends[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        scripted_client(&s, 4096, &ends[i]);
        far_say(ends[i], NOWHERE);
    }
    scripted_turns(&s, 3);
    for (int i = 0; i < CLIENTS; i++)
        FAR_HAS(ends[i], "404 Not Found");
}
