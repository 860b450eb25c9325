/* SPDX-License-Identifier: Apache-2.0 */
/* test_queue.c - waiting for a slot: at once, later, cancelled, timed out; in order; between workers. */
#include "base/clock.h"
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <stdlib.h>
#include <string.h>

static struct scripted s;
static struct far_end *holder_end, *gpu0, *gpu1;
static struct client *holder;

/* One slot at gpu0, which the holder's job has; gpu1 has none. */
static void begin(void)
{
    scripted_open(&s, "max_waiting: 3\n");
    s.backends->backends[1].max_in_flight = 0;
    holder = scripted_client(&s, 65536, &holder_end);
    scripted_upstream(&s, 0, 65536, &gpu0);
    far_say(holder_end, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    cr_assert_eq(holder->req->phase, PHASE_RELAY);
}

static void end(void)
{
    scripted_close(&s);
}

static struct client *ask_at(struct gate *gate, const char *tier, struct far_end **out)
{
    struct client *c = scripted_client_at(&s, gate, 65536, out);

    far_say(*out, scripted_job(tier, 1));
    scripted_turns(&s, 4);
    return c;
}

static struct client *ask(const char *tier, struct far_end **out)
{
    return ask_at(s.gate, tier, out);
}

static enum phase phase_of(const struct client *c)
{
    return c->req ? c->req->phase : PHASE_NONE;
}

/* The job at work at gpu0 is over. */
static void finish(void)
{
    far_say(gpu0, scripted_answer(1));
    scripted_turns(&s, 4);
}

static void report_heat(int backend, int64_t temperature_mc)
{
    struct load_sample sample;

    load_sample_clear(&sample);
    sample.taken_us = loop_now_us(s.loop);
    sample.temperature_mc = temperature_mc;
    backend_report(&s.backends->backends[backend], &sample);
}

WHOLE_TEST(queue, one_that_may_not_wait_is_refused)
{
    struct far_end *far;

    ask("free", &far);
    FAR_HAS(far, "x-meltguard-reason: busy\r\n");
    cr_assert_eq(s.store.reserves, 1, "before its quota is touched");
    finish();
}

WHOLE_TEST(queue, waits_until_a_slot_is_free)
{
    struct far_end *far;
    struct client *c = ask("plus", &far);

    cr_assert_eq(phase_of(c), PHASE_QUEUE);
    cr_assert_eq(atomic_load(&s.shared.waiting), 1);
    finish();
    cr_assert_eq(phase_of(c), PHASE_RELAY);
    cr_assert_eq(atomic_load(&s.shared.waiting), 0);
    cr_assert_gt(c->req->slot_us, 0);
    finish();
    FAR_HAS(far, "200 OK");
}

/* The head that the backend gets was made before its slab went back. */
WHOLE_TEST(queue, who_waits_holds_no_buffer)
{
    struct far_end *far;
    struct client *c = ask("plus", &far);

    cr_assert_eq(phase_of(c), PHASE_QUEUE);
    cr_assert_null(c->slab);
    cr_assert_eq(s.gate->slabs.lent, 0);
    far_read_anew(gpu0);
    finish();
    cr_assert_eq(phase_of(c), PHASE_RELAY);
    FAR_HAS(gpu0, "POST /base/v1/images/generations HTTP/1.1\r\nhost: ");
    FAR_HAS(gpu0, "x-forwarded-for: 127.0.0.1\r\n");
    FAR_HAS(gpu0, "\r\n\r\n{");
    finish();
    FAR_HAS(far, "HTTP/1.1 200 OK\r\n");
}

/* But a next request that is here already stays where it is. */
WHOLE_TEST(queue, who_waits_keeps_its_next_request)
{
    struct far_end *far;
    struct client *c = scripted_client(&s, 65536, &far);

    far_say(far, scripted_job("plus", 1));
    far_say(far, scripted_job("plus", 1));
    scripted_turns(&s, 4);
    cr_assert_eq(phase_of(c), PHASE_QUEUE);
    cr_assert_not_null(c->slab);
    for (int i = 0; i < 2; i++) {
        finish();
        cr_assert_eq(phase_of(c), PHASE_RELAY);
        cr_assert_eq(s.store.reserves, 2 + i);
    }
    finish();
    cr_assert_eq(phase_of(c), PHASE_NONE);
}

WHOLE_TEST(queue, timed_out)
{
    struct far_end *far;

    ask("basic", &far);
    clock_skip_us(60000000);
    SCRIPTED_UNTIL(&s, far_has(far, "x-meltguard-reason: queue_timeout"));
    cr_assert_eq(s.store.held_images, 1, "the holder's alone");
    finish();
}

WHOLE_TEST(queue, client_that_leaves_takes_its_place_along)
{
    struct far_end *far;

    ask("plus", &far);
    stream_close(&far->stream);
    scripted_turns(&s, 2);
    cr_assert_eq(atomic_load(&s.shared.waiting), 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_CLIENT_GONE), 1);
    finish();
}

WHOLE_TEST(queue, stopped)
{
    struct far_end *far;
    struct client *c = ask("plus", &far);

    client_stop(c);
    cr_assert_eq(atomic_load(&s.shared.waiting), 0);
    finish();
}

WHOLE_TEST(queue, full)
{
    struct far_end *far[4];
    struct client *c[4];

    for (int i = 0; i < 4; i++)
        c[i] = ask("plus", &far[i]);
    FAR_HAS(far[3], "x-meltguard-reason: queue_full\r\n");
    cr_assert_null(c[3]->req);
    for (int i = 0; i < 4; i++)
        finish();
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_DELIVERED), 4);
}

WHOLE_TEST(queue, in_order_of_priority_and_then_of_arrival)
{
    struct far_end *far[3];
    struct client *basic, *first, *second;

    s.config->policy.tiers[2].max_wait_ms = 30000;
    basic = ask("basic", &far[0]);
    first = ask("plus", &far[1]);
    second = ask("staff", &far[2]);
    finish();
    cr_assert_eq(phase_of(first), PHASE_RELAY);
    cr_assert_eq(phase_of(second), PHASE_QUEUE);
    finish();
    cr_assert_eq(phase_of(second), PHASE_RELAY);
    finish();
    cr_assert_eq(phase_of(basic), PHASE_RELAY);
    finish();
}

/* The slot comes free in the very turn in which another asks, before it was offered to who waits. */
WHOLE_TEST(queue, later_one_does_not_overtake)
{
    struct far_end *far[2];
    struct client *first, *second;

    first = ask("plus", &far[0]);
    second = scripted_client(&s, 65536, &far[1]);
    far_say(gpu0, scripted_answer(1));
    far_say(far[1], scripted_job("plus", 1));
    scripted_turns(&s, 4);
    cr_assert_eq(phase_of(first), PHASE_RELAY);
    cr_assert_eq(phase_of(second), PHASE_QUEUE);
    finish();
    finish();
}

/* Who waits for a cooler backend does not keep a slot of a hot one from those who may use it. */
WHOLE_TEST(queue, one_that_cannot_use_the_slot_does_not_keep_it_from_others)
{
    struct far_end *far[2];
    struct client *waits, *staff;

    waits = ask("plus", &far[0]);
    s.backends->backends[1].max_in_flight = 1;
    scripted_upstream(&s, 1, 65536, &gpu1);
    report_heat(1, 90000);
    staff = ask("staff", &far[1]);
    cr_assert_eq(phase_of(waits), PHASE_QUEUE);
    cr_assert_eq(phase_of(staff), PHASE_RELAY);
    far_say(gpu1, scripted_answer(1));
    finish();
    FAR_HAS(far[1], "200 OK");
    finish();
}

WHOLE_TEST(queue, safe_path_is_not_refused_for_want_of_a_cool_backend)
{
    struct far_end *far[2];

    ask("plus", &far[0]);
    s.backends->backends[1].max_in_flight = 1;
    scripted_upstream(&s, 1, 65536, &gpu1);
    report_heat(1, 90000);
    scripted_client(&s, 65536, &far[1]);
    far_say(far[1], "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-Account-Id: a\r\n"
                    "X-Account-Tier: basic\r\n\r\n");
    scripted_turns(&s, 4);
    FAR_HAS(gpu1, "GET /v1/models");
    far_say(gpu1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    finish();
    FAR_HAS(far[1], "200 OK");
    finish();
}

WHOLE_TEST(queue, backend_that_cools_lets_in_who_waits)
{
    struct far_end *far;
    struct client *c = ask("plus", &far);

    s.backends->backends[1].max_in_flight = 1;
    scripted_upstream(&s, 1, 65536, &gpu1);
    report_heat(1, 90000);
    gate_kick(s.gate);
    scripted_turns(&s, 2);
    cr_assert_eq(phase_of(c), PHASE_QUEUE);
    report_heat(1, 70000);
    gate_kick(s.gate);
    scripted_turns(&s, 2);
    cr_assert_eq(phase_of(c), PHASE_RELAY);
    far_say(gpu1, scripted_answer(1));
    finish();
}

/* --- two workers -------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(queue, slot_given_back_at_one_worker_goes_to_another)
{
    struct far_end *far;
    struct client *c = ask_at(s.gates[1], "plus", &far);

    cr_assert_eq(phase_of(c), PHASE_QUEUE);
    cr_assert_eq(atomic_load(&s.shared.waiting_by_worker[1]), 1);
    finish();
    cr_assert_neq(phase_of(c), PHASE_QUEUE, "it was told");
    cr_assert_eq(atomic_load(&s.shared.waiting_by_worker[1]), 0);
    cr_assert_eq(atomic_load(&s.shared.kicks[1]), 0);
    scripted_turns(&s, 20);
}

/* Worker 0 has somebody waiting, who cannot use the slot; worker 1 has somebody who can. */
WHOLE_TEST(queue, slot_that_nobody_here_can_use_goes_to_another_worker)
{
    struct far_end *far[2];
    struct client *here, *there;

    here = ask("plus", &far[0]);
    there = ask_at(s.gates[1], "staff", &far[1]);
    cr_assert_eq(phase_of(here), PHASE_QUEUE);
    cr_assert_eq(phase_of(there), PHASE_QUEUE);
    report_heat(0, 90000);
    finish();
    cr_assert_eq(phase_of(here), PHASE_QUEUE, "too hot for it");
    cr_assert_neq(phase_of(there), PHASE_QUEUE);
    scripted_turns(&s, 20);
    report_heat(0, 20000);
    atomic_store(&s.backends->backends[0].now.is_up, true);
    client_stop(here);
}

WHOLE_TEST(queue, kicks_end)
{
    struct far_end *far[2];

    ask("plus", &far[0]);
    ask_at(s.gates[1], "plus", &far[1]);
    report_heat(0, 90000);
    finish(); /* nobody can use it, and neither worker keeps telling the other */
    scripted_turns(&s, 10);
    cr_assert_eq(atomic_load(&s.shared.kicks[0]), 0);
    cr_assert_eq(atomic_load(&s.shared.kicks[1]), 0);
    gate_stop(s.gates[0]);
    gate_stop(s.gates[1]);
    cr_assert_eq(atomic_load(&s.shared.waiting), 0);
}
