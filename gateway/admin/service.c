/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - asks the store for one limit after the other, and adds what the workers have.      Runs on: control thread. */
#include "admin/service.h"

#include <stdlib.h>

#include "admin/api_ask.h"

struct service {
    struct service_terms terms;
    int asks; /* under way */
};

/* One ask on its way. */
struct ask {
    struct service *service;
    struct config *config; /* counted */
    struct op *op;         /* the visitor's */
    struct admin_answer *out;
    struct op wait;
    struct quota_claim claim; /* of the limit that is asked about */
    int len;                  /* limits told */
    struct api_service_limit limits[SERVICE_ROWS];
};

static void ask_free(struct ask *ask)
{
    ask->service->asks--;
    config_unref(&ask->config);
    free(ask);
}

static void on_cancel(struct op *op)
{
    struct ask *ask = op->callee;

    op_cancel(&ask->wait);
    ask_free(ask);
}

static void tell(struct ask *ask)
{
    const struct service_terms *terms = &ask->service->terms;
    struct api_service_limit *limit = &ask->limits[ask->len++];
    int row = service_row(&ask->claim.rule);
    struct share_view view;

    *limit = (struct api_service_limit){.claim = ask->claim};
    for (int i = 0; i < terms->gates_len; i++) {
        if (!shares_look(&terms->gates[i]->shares, row, &view))
            continue;
        limit->here_units += view.held_units;
        limit->in_hand_units += view.in_hand_units;
    }
}

/* From where it stands: the answer, or the next wait. */
static enum status carry_on(struct ask *ask, enum status st)
{
    const struct policy *policy = &ask->config->policy;
    struct quota *quota = ask->service->terms.quota;

    while (st == ST_OK && ask->len < policy->service_len) {
        const struct service_rule *rule = &policy->service[ask->len];

        ask->claim = (struct quota_claim){
            .rule = *rule,
            .window = service_window(rule->period, &policy->zone, quota_now_us(quota) / 1000000),
        };
        st = quota_claim(quota, &ask->claim, &ask->wait);
        if (st == ST_OK)
            tell(ask);
    }
    if (st == ST_PENDING)
        return st;
    if (st == ST_OK)
        api_print_service(ask->out, ask->limits, ask->len);
    else
        api_answer_error(ask->out, 503, "the quota store is down");
    return ST_OK;
}

static void on_claimed(struct op *op, enum status st)
{
    struct ask *ask = container_of(op, struct ask, wait);
    struct op *visitor = ask->op;

    if (st == ST_OK)
        tell(ask);
    st = carry_on(ask, st);
    if (st == ST_PENDING)
        return;
    ask_free(ask);
    op_done(visitor, st);
}

static enum status answer_service(void *owner, const struct admin_ask *asked,
                                  struct admin_answer *out, struct op *op)
{
    struct service *service = owner;
    struct ask *ask = calloc(1, sizeof(*ask));
    enum status st;

    UNUSED(asked);
    if (!ask)
        return ST_NOMEM;
    service->asks++;
    ask->service = service;
    ask->config = config_ref(service->terms.config);
    ask->out = out;
    ask->op = op;
    ask->wait.done = on_claimed;
    st = carry_on(ask, ST_OK);
    if (st != ST_PENDING) {
        ask_free(ask);
        return st;
    }
    op->cancel = on_cancel;
    op->callee = ask;
    return st;
}

const struct admin_route service_routes[] = {
    {"/v1/quota/service", answer_service, METHOD_GET, ACCESS_READ},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};

enum status service_open(const struct service_terms *terms, struct service **out)
{
    struct service *service = calloc(1, sizeof(*service));

    if (!service)
        return ST_NOMEM;
    service->terms = *terms;
    *out = service;
    return ST_OK;
}

void service_configure(struct service *service, struct config *config)
{
    service->terms.config = config;
}

void service_close(struct service **where)
{
    struct service *service = *where;

    if (!service)
        return;
    *where = NULL;
    ASSERT(service->asks == 0);
    free(service);
}
