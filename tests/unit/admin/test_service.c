/* SPDX-License-Identifier: Apache-2.0 */
/* test_service.c - the service's limits for operators, on a store that does as it is told. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "admin/service.h"

static struct loop *loop;
static struct config config;
static struct quota quota;
static struct service *service;
static const struct zone_offset utc = {.offset_s = 0};
static enum status store_says;
static struct quota_claim *claimed;
static struct op *waiting, visitor;
static struct admin_answer answer;
static int dones;

static void on_cancel(struct op *op)
{
    UNUSED(op);
    waiting = NULL;
}

static enum status claim(struct quota *q, struct quota_claim *asked, struct op *op)
{
    cr_assert_eq(q, &quota);
    cr_assert_eq(asked->serial, 0); /* it changes nothing */
    asked->leased_units = 2500;
    claimed = asked;
    waiting = op;
    op->cancel = store_says == ST_PENDING ? on_cancel : NULL;
    return store_says;
}

static const struct quota_ops ops = {.name = "fake", .claim = claim};

static void on_done(struct op *op, enum status st)
{
    cr_assert_eq(op, &visitor);
    cr_assert_eq(st, ST_OK);
    dones++;
}

static void begin(void)
{
    struct service_terms terms = {.quota = &quota, .config = &config};

    cr_assert_eq(loop_new(&loop), ST_OK);
    loop_run_once(loop, 0);
    atomic_init(&config.refs, 100); /* never freed */
    config.policy.zone = (struct zone){1, &utc};
    config.policy.service_len = 2;
    config.policy.service[0] = (struct service_rule){SERVICE_DAY, MEASURE_IMAGES, 10000, false};
    config.policy.service[1] = (struct service_rule){SERVICE_HOUR, MEASURE_CREDITS, 7500, true};
    /* 2026-11-21 12:00:00 UTC */
    quota = (struct quota){.ops = &ops, .loop = loop, .has_clock = true};
    quota.clock_offset_us = INT64_C(1795262400000000) - loop_now_us(loop);
    visitor = (struct op){.done = on_done};
    cr_assert_eq(service_open(&terms, &service), ST_OK);
}

static void end(void)
{
    service_close(&service);
    loop_free(&loop);
    free(answer.body);
}

TestSuite(admin_service, .init = begin, .fini = end);

static enum status ask(enum status says)
{
    struct admin_ask asked = {.method = METHOD_GET};

    store_says = says;
    return service_routes[0].answer(service, &asked, &answer, &visitor);
}

static const char both[] =
    "{\"limits\":["
    "{\"name\":\"images_per_day\",\"limit\":10,\"leased\":2.5,\"here\":0,\"in_hand\":0,"
    "\"resets\":\"2026-11-22T00:00:00Z\",\"is_dry_run\":false},"
    "{\"name\":\"credits_per_hour\",\"limit\":7.5,\"leased\":2.5,\"here\":0,\"in_hand\":0,"
    "\"resets\":\"2026-11-21T13:00:00Z\",\"is_dry_run\":true}]}\n";

Test(admin_service, at_once)
{
    cr_assert_eq(ask(ST_OK), ST_OK);
    cr_assert_str_eq(answer.body, both);
}

Test(admin_service, later)
{
    cr_assert_eq(ask(ST_PENDING), ST_PENDING);
    op_done(waiting, ST_OK);
    cr_assert_eq(dones, 0); /* the second limit */
    claimed->leased_units = 2500;
    op_done(waiting, ST_OK);
    cr_assert_eq(dones, 1);
    cr_assert_str_eq(answer.body, both);
}

Test(admin_service, cancelled)
{
    cr_assert_eq(ask(ST_PENDING), ST_PENDING);
    op_cancel(&visitor);
    cr_assert_null(waiting);
    cr_assert_eq(dones, 0);
}

Test(admin_service, down)
{
    cr_assert_eq(ask(ST_UNAVAILABLE), ST_OK);
    cr_assert_eq(answer.status, 503);
    free(answer.body);
    answer.body = NULL;
    cr_assert_eq(ask(ST_PENDING), ST_PENDING);
    op_done(waiting, ST_UNAVAILABLE);
    cr_assert_eq(dones, 1);
    cr_assert_eq(answer.status, 503);
}

Test(admin_service, none)
{
    config.policy.service_len = 0;
    cr_assert_eq(ask(ST_OK), ST_OK);
    cr_assert_str_eq(answer.body, "{\"limits\":[]}\n");
}
