/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - from asks of operators to the quota store, and back.      Runs on: control thread.
 * An ask finds whom it is about among the accounts seen lately, changes the rows it is to change, reads how all limits
 * stand, and answers.  Many may be under way; each ends once, or is cancelled by its visitor's leaving. */
#include "admin/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "admin/who.h"
#include "identity/identity.h"

#define TOP_DEFAULT 20
#define TOP_MOST    1000

struct api {
    struct api_terms terms;
    int asks; /* under way */
};

/* One ask on its way. */
struct ask {
    struct api *api;
    struct config *config; /* counted: the generation that it is judged by */
    struct op *op;         /* the visitor's */
    struct admin_answer *out;
    struct op wait;
    char id[ADMIN_PARAM_MAX];
    size_t id_len;
    struct api_query query;
    struct quota_change change; /* kind NONE: nothing is changed */
    struct top_list seen;
    struct board_list top;
    struct account account;
    struct reservation r;
};

static uint64_t random_id(void)
{
    uint64_t id;

    ASSERT(getrandom(&id, sizeof(id), 0) == (ssize_t)sizeof(id));
    return id;
}

/* The same id of a change is the same number at every gateway. */
static uint64_t change_id(const struct ask *ask)
{
    struct account_digest digest;
    uint64_t id;

    if (!ask->query.id[0])
        return random_id();
    digest = identity_digest(text_of(ask->query.id));
    memcpy(&id, digest.bytes, sizeof(id));
    return id;
}

/* --- the life of an ask ------------------------------------------------------------------------------------------------- */

static void ask_free(struct ask *ask)
{
    ask->api->asks--;
    top_list_free(&ask->seen);
    top_list_free(&ask->top.list);
    config_unref(&ask->config);
    free(ask);
}

static void on_cancel(struct op *op)
{
    struct ask *ask = op->callee;

    op_cancel(&ask->wait);
    ask_free(ask);
}

static struct ask *ask_new(struct api *api, const struct admin_ask *asked, struct admin_answer *out)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return NULL;
    ask->api = api;
    ask->config = config_ref(api->terms.config);
    ask->out = out;
    ask->id_len = asked->param.len;
    if (asked->param.len)
        memcpy(ask->id, asked->param.ptr, asked->param.len);
    api->asks++;
    return ask;
}

/* The wait goes on, or is over at once. */
static enum status ask_await(struct ask *ask, struct op *op, enum status st)
{
    if (st != ST_PENDING) {
        ask_free(ask);
        return st;
    }
    ask->op = op;
    op->cancel = on_cancel;
    op->callee = ask;
    return ST_PENDING;
}

static void ask_end(struct ask *ask, enum status st)
{
    struct op *op = ask->op;

    ask_free(ask);
    op_done(op, st);
}

static enum status answer_error(struct ask *ask, int status, const char *why)
{
    api_answer_error(ask->out, status, why);
    return ST_OK;
}

static enum status answer_store_error(struct ask *ask, enum status st)
{
    char why[API_WHY_MAX];

    if (st == ST_NOMEM)
        return st;
    snprintf(why, sizeof(why), "the quota store did not do it: %s", status_name(st));
    return answer_error(ask, 503, why);
}

/* --- an account's limits ------------------------------------------------------------------------------------------------ */

static void resolve(const struct ask *ask, struct terms *terms)
{
    struct job job = {.operation = OPERATION_GENERATE, .images = 1};

    job.model = text_of(ask->query.model[0] ? ask->query.model : NULL);
    policy_terms(&ask->config->policy, &ask->account, &job,
                 quota_now_us(ask->api->terms.quota) / 1000000, terms);
}

static enum status answer_quota(struct ask *ask, enum status st)
{
    if (st)
        return answer_store_error(ask, st);
    api_print_quota(ask->out, &ask->config->policy, &ask->account, &ask->r);
    return ST_OK;
}

static void on_inspected(struct op *op, enum status st)
{
    struct ask *ask = container_of(op, struct ask, wait);

    ask_end(ask, answer_quota(ask, st));
}

static enum status inspect(struct ask *ask)
{
    struct quota *quota = ask->api->terms.quota;
    struct terms terms;

    resolve(ask, &terms);
    reservation_init(&ask->r, &ask->account, &terms, 1, random_id());
    ask->wait.done = on_inspected;
    enum status st = quota_inspect(quota, &ask->r, &ask->wait);
    return st == ST_PENDING ? st : answer_quota(ask, st);
}

/* The change is made; what is told is how all limits stand, also those that it was not about. */
static enum status take_amended(struct ask *ask, enum status st)
{
    if (st)
        return answer_store_error(ask, st);
    return inspect(ask);
}

static void on_amended(struct op *op, enum status st)
{
    struct ask *ask = container_of(op, struct ask, wait);

    st = take_amended(ask, st);
    if (st != ST_PENDING)
        ask_end(ask, st);
}

/* The grant's last day is a day of the account's.  False: it is over. */
static bool takes_until(struct ask *ask)
{
    const struct zone *own = ask->account.zone;
    const struct zone *zone = own ? own : &ask->config->policy.zone;

    ask->change.until_s = window_of_day(zone, ask->query.until_day).end_s;
    return ask->change.until_s > quota_now_us(ask->api->terms.quota) / 1000000;
}

static enum status amend(struct ask *ask)
{
    struct quota *quota = ask->api->terms.quota;
    char why[API_WHY_MAX];
    struct terms terms;

    if (ask->query.until_day && !takes_until(ask))
        return answer_error(ask, 400, "that date is over");
    resolve(ask, &terms);
    if (api_select(&ask->query, ask->change.kind, &terms, why))
        return answer_error(ask, 422, why);
    reservation_init(&ask->r, &ask->account, &terms, 1, change_id(ask));
    ask->wait.done = on_amended;
    enum status st = quota_amend(quota, &ask->r, &ask->change, &ask->wait);
    return st == ST_PENDING ? st : take_amended(ask, st);
}

static enum status take_seen(struct ask *ask)
{
    char why[API_WHY_MAX];
    struct text id = {ask->id, ask->id_len};
    enum status st = who_find(ask->config, &ask->seen, id, &ask->query, &ask->account, why);

    if (st)
        return answer_error(ask, st == ST_REFUSED ? 404 : 400, why);
    return ask->change.kind ? amend(ask) : inspect(ask);
}

static void on_seen(struct op *op, enum status st)
{
    struct ask *ask = container_of(op, struct ask, wait);

    if (st == ST_OK)
        st = take_seen(ask);
    if (st != ST_PENDING)
        ask_end(ask, st);
}

static enum status begin_account(struct api *api, const struct admin_ask *asked,
                                 enum quota_change_kind kind, struct admin_answer *out,
                                 struct op *op)
{
    struct ask *ask = ask_new(api, asked, out);
    char why[API_WHY_MAX] = "";
    enum status st;

    if (!ask)
        return ST_NOMEM;
    st = api_read_query(asked->query, &ask->query, why);
    if (st == ST_OK && kind != CHANGE_NONE)
        st = api_read_body(asked->body, kind, &ask->query, why);
    if (st)
        return ask_await(ask, op, answer_error(ask, 400, why));
    ask->change = (struct quota_change){.kind = kind, .units = ask->query.units};
    ask->wait.done = on_seen;
    return ask_await(ask, op,
                     top_collect(api->terms.top, board_today(api->terms.board), asked->param, 1,
                                 &ask->seen, &ask->wait));
}

static enum status answer_show(void *owner, const struct admin_ask *asked, struct admin_answer *out,
                               struct op *op)
{
    return begin_account(owner, asked, CHANGE_NONE, out, op);
}

static enum status answer_grant(void *owner, const struct admin_ask *asked,
                                struct admin_answer *out, struct op *op)
{
    return begin_account(owner, asked, CHANGE_GRANT, out, op);
}

static enum status answer_set(void *owner, const struct admin_ask *asked, struct admin_answer *out,
                              struct op *op)
{
    return begin_account(owner, asked, CHANGE_SET_USED, out, op);
}

static enum status answer_reset(void *owner, const struct admin_ask *asked,
                                struct admin_answer *out, struct op *op)
{
    return begin_account(owner, asked, CHANGE_RESET, out, op);
}

/* --- who uses most ------------------------------------------------------------------------------------------------------ */

static void on_top(struct op *op, enum status st)
{
    struct ask *ask = container_of(op, struct ask, wait);

    if (st == ST_OK)
        api_print_top(ask->out, &ask->config->policy, ask->config->generation, &ask->top);
    ask_end(ask, st);
}

static enum status answer_top(void *owner, const struct admin_ask *asked, struct admin_answer *out,
                              struct op *op)
{
    struct api *api = owner;
    struct ask *ask = ask_new(api, asked, out);
    int count = TOP_DEFAULT;
    char why[API_WHY_MAX];

    if (!ask)
        return ST_NOMEM;
    if (api_read_count(asked->query, TOP_MOST, &count, why))
        return ask_await(ask, op, answer_error(ask, 400, why));
    ask->wait.done = on_top;
    return ask_await(ask, op, board_collect(api->terms.board, count, &ask->top, &ask->wait));
}

const struct admin_route api_routes[] = {
    {"/v1/accounts/*/quota", answer_show, METHOD_GET, ACCESS_READ},
    {"/v1/accounts/*/quota/grant", answer_grant, METHOD_POST, ACCESS_CHANGE},
    {"/v1/accounts/*/quota/set", answer_set, METHOD_POST, ACCESS_CHANGE},
    {"/v1/accounts/*/quota/reset", answer_reset, METHOD_POST, ACCESS_CHANGE},
    {"/v1/quota/top", answer_top, METHOD_GET, ACCESS_READ},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};

enum status api_open(const struct api_terms *terms, struct api **out)
{
    struct api *api = calloc(1, sizeof(*api));

    if (!api)
        return ST_NOMEM;
    api->terms = *terms;
    *out = api;
    return ST_OK;
}

void api_configure(struct api *api, struct config *config)
{
    api->terms.config = config;
}

void api_close(struct api **where)
{
    struct api *api = *where;

    if (!api)
        return;
    *where = NULL;
    ASSERT(api->asks == 0);
    free(api);
}
