/* SPDX-License-Identifier: Apache-2.0 */
/* test_reserve.c - the limits of the whole service in a request's walk: taken before the account is asked, and given back
 * by all that makes no image. */
#include "unit/gate/scripted.h"
#include "unit/whole.h"

#include <string.h>

#include "base/clock.h"

static struct scripted s;
static struct far_end *client, *backend;
static struct client *c;
static int64_t delivered_images;

static void limit(int64_t images, bool is_dry_run)
{
    s.config->policy.service_len = 1;
    s.config->policy.service[0] = (struct service_rule){
        .period = SERVICE_DAY,
        .measure = MEASURE_IMAGES,
        .units = images * UNITS_PER_IMAGE,
        .is_dry_run = is_dry_run,
    };
    for (int i = 0; i < SCRIPTED_WORKERS; i++)
        shares_configure(&s.gates[i]->shares, &s.config->policy);
}

static void begin(void)
{
    scripted_open(&s, "");
    c = scripted_client(&s, 65536, &client);
    scripted_upstream(&s, 0, 65536, &backend);
    s.backends->backends[1].max_in_flight = 0;
    delivered_images = 0;
    limit(4, false);
}

/* What no image was made for is in hand again. */
static void end(void)
{
    struct share_view view = {0};

    scripted_turns(&s, 3);
    (void)shares_look(&s.gate->shares, 2, &view);
    ASSERT(view.held_units - view.in_hand_units == delivered_images * UNITS_PER_IMAGE);
    scripted_close(&s);
}

static void ask(const char *tier, int images)
{
    far_say(client, scripted_job(tier, images));
    scripted_turns(&s, 4);
}

static void deliver(int images)
{
    far_say(backend, scripted_answer(images));
    scripted_turns(&s, 3);
    FAR_HAS(client, "200 OK");
    delivered_images += images;
}

static enum phase phase(void)
{
    return c->req ? c->req->phase : PHASE_NONE;
}

WHOLE_TEST(reserve, takes_from_the_share_before_it_asks_for_the_account)
{
    ask("free", 2);
    cr_assert_eq(s.store.order[0], 'l');
    cr_assert_eq(s.store.order[strspn(s.store.order, "l")], 'r');
    deliver(2);
    cr_assert_eq(s.store.used_images, 2);
}

WHOLE_TEST(reserve, also_of_an_account_without_limits)
{
    ask("staff", 3);
    deliver(3);
    ask("staff", 2);
    FAR_HAS(client, "x-meltguard-reason: service_limit\r\n");
    cr_assert_eq(s.store.reserves, 0);
}

WHOLE_TEST(reserve, of_what_was_not_made_the_share_has_the_rest)
{
    ask("free", 3);
    deliver(1);
    ask("free", 3);
    deliver(3);
}

WHOLE_TEST(reserve, a_service_that_has_no_more_charges_nobody)
{
    ask("staff", 4);
    deliver(4);
    far_read_anew(client);
    ask("free", 1);
    FAR_HAS(client, "503 Service Unavailable\r\n");
    FAR_HAS(client, "x-meltguard-reason: service_limit\r\n");
    FAR_HAS(client, "retry-after: ");
    FAR_HAS(client, "x-should-retry: false\r\n"); /* a day is too long for an SDK */
    FAR_HAS(client, "image generation unavailable");
    FAR_LACKS(client, "RateLimit");
    cr_assert_eq(s.store.reserves, 0);
    cr_assert_eq(scripted_outcomes(&s, OUTCOME_SERVICE_LIMIT), 1);
}

WHOLE_TEST(reserve, a_full_service_refuses_before_the_body)
{
    ask("staff", 4);
    deliver(4);
    ask("staff", 1);
    far_read_anew(client);
    far_say(client, "POST /v1/images/generations HTTP/1.1\r\nhost: x\r\nX-Account-Id: a\r\n"
                    "X-Account-Tier: staff\r\ncontent-type: application/json\r\n"
                    "content-length: 1000\r\n\r\n");
    scripted_turns(&s, 4);
    FAR_HAS(client, "x-meltguard-reason: service_limit\r\n");
}

WHOLE_TEST(reserve, more_than_the_service_ever_makes_is_hopeless)
{
    ask("staff", 5);
    FAR_HAS(client, "503 Service Unavailable\r\n");
    FAR_HAS(client, "x-meltguard-reason: service_limit\r\n");
    FAR_HAS(client, "So much can never be had at once: 5 images were asked for.");
    FAR_HAS(client, "x-should-retry: false\r\n");
    FAR_LACKS(client, "retry-after");
}

WHOLE_TEST(reserve, an_account_out_of_quota_gives_its_part_back)
{
    s.store.reserve = ST_LIMIT;
    ask("free", 3);
    FAR_HAS(client, "429 Too Many Requests\r\n");
    s.store.reserve = ST_OK;
    ask("plus", 4);
    deliver(4);
}

WHOLE_TEST(reserve, so_does_a_job_that_fails)
{
    ask("free", 3);
    far_say(backend, "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
    scripted_turns(&s, 3);
    FAR_HAS(client, "500 ");
    ask("plus", 4);
    deliver(4);
}

/* --- the wait --------------------------------------------------------------------------------------------------------- */

WHOLE_TEST(reserve, share_later)
{
    s.store.claim = ST_PENDING;
    ask("staff", 1);
    cr_assert_eq(phase(), PHASE_RESERVE);
    cr_assert_eq(s.store.reserves, 0);
    s.store.claim = ST_OK;
    scripted_store_done(&s, ST_OK); /* it got nothing, and asks again */
    scripted_turns(&s, 2);
    cr_assert_eq(phase(), PHASE_RELAY);
    deliver(1);
}

WHOLE_TEST(reserve, share_and_account_later)
{
    s.store.claim = ST_PENDING;
    ask("free", 1);
    s.store.claim = ST_OK;
    s.store.reserve = ST_PENDING;
    scripted_store_done(&s, ST_OK);
    cr_assert_eq(phase(), PHASE_RESERVE);
    cr_assert_eq(c->req->share->state, SHARE_TAKEN);
    scripted_store_done(&s, ST_OK);
    scripted_turns(&s, 2);
    deliver(1);
}

WHOLE_TEST(reserve, share_cancelled)
{
    s.store.claim = ST_PENDING;
    ask("staff", 1);
    client_stop(c);
    cr_assert_not_null(s.store.pending); /* the claim is the worker's */
    s.store.claim = ST_OK;
    scripted_store_done(&s, ST_OK);
}

WHOLE_TEST(reserve, account_cancelled_after_the_share)
{
    s.store.reserve = ST_PENDING;
    ask("free", 3);
    cr_assert_eq(c->req->share->state, SHARE_TAKEN);
    client_stop(c);
    cr_assert_null(s.store.pending);
}

WHOLE_TEST(reserve, share_timed_out)
{
    s.store.claim = ST_PENDING;
    ask("staff", 1);
    scripted_store_done(&s, ST_UNAVAILABLE);
    FAR_HAS(client, "x-meltguard-reason: store_unavailable\r\n");
}

WHOLE_TEST(reserve, an_open_tier_is_served_without_a_share)
{
    s.config->policy.tiers[policy_tier(&s.config->policy, TEXT("free"))].on_store_down =
        STORE_DOWN_OPEN;
    s.store.claim = ST_UNAVAILABLE;
    ask("free", 2);
    cr_assert_eq(phase(), PHASE_RELAY);
    cr_assert(c->req->is_without_store);
    cr_assert_eq(s.store.reserves, 1); /* the account's own limits still hold */
    far_say(backend, scripted_answer(2));
}

WHOLE_TEST(reserve, on_trial_is_counted_and_refuses_nobody)
{
    limit(1, true);
    for (int i = 0; i < 3; i++) {
        ask("staff", 1);
        far_say(backend, scripted_answer(1));
        scripted_turns(&s, 3);
        FAR_HAS(client, "200 OK");
    }
    delivered_images = 1;
    cr_assert_eq(stats_value(&s.gate->stats, STAT_TRIALS, OUTCOME_SERVICE_LIMIT), 2);
}

WHOLE_TEST(reserve, a_new_policy_counts_for_the_next_request)
{
    ask("staff", 4);
    deliver(4);
    limit(6, false);
    ask("staff", 2);
    deliver(2);
    ask("staff", 1);
    FAR_HAS(client, "service_limit");
}
