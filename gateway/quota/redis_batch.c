/* SPDX-License-Identifier: Apache-2.0 */
/* redis_batch.c - reserves of a turn that ask for the same, in one call.      Runs on: worker.
 * The call of a script costs Redis more than what a reserve with a common plan does in it, so accounts with the same limits
 * share one: RESERVES.  It is put together when the turn is over.  Who may be refused is asked about again alone, and so
 * are all of a call that fails as a whole: by its token, each is one hold. */

#include "quota/redis.h"

#include <string.h>

#include "redis/wire.h"

#define BATCH_MAX REDIS_NUMBERS_MAX

struct redis_batch {
    struct redis_call call;
    struct redis_quota *from;
    struct list in_open;
    int64_t score; /* the same for all, as is the plan */
    struct redis_shared_plan plan;
    int len;
    struct list requests; /* by their calls' links, which no link has */
};

/* The script, two numbers and the facts; a ledger, rows and a token a request. */
#define HEAD_MAX                                                                                   \
    (WIRE_COUNT_MAX + SCRIPT_CALL_LEN + 2 * WIRE_INT_MAX + WIRE_ARG_MAX(PLAN_SHARED_LEN))
#define ENTRY_MAX (4 * WIRE_ARG_MAX(REDIS_KEY_MAX) + WIRE_ARG_MAX(HOLD_TOKEN_MAX))

static struct redis_request *request_of(struct list *node)
{
    return container_of(container_of(node, struct redis_call, link), struct redis_request, call);
}

/* --- out --- */

static char *put_keys(char *out, const struct redis_shared_plan *plan, uint32_t bucket)
{
    struct redis_key head = redis_key_head(bucket);

    out = redis_put_key(out, &head, "h", 1);
    for (int i = 0; i < plan->rows_len; i++)
        out = redis_put_key(out, &head, plan->rows[i], SUFFIX_LEN);
    return out;
}

static char *put_call(char *out, const struct redis_batch *batch, const struct redis_link *link)
{
    const struct redis_shared_plan *plan = &batch->plan;
    int keys = batch->len * (1 + plan->rows_len);

    out = redis_put_script(out, link, SCRIPT_RESERVES, keys, 2 + batch->len);
    LIST_EACH (node, &batch->requests)
        out = put_keys(out, plan, request_of(node)->record.handle.bucket);
    out = wire_arg_int(out, batch->score);
    out = wire_arg(out, plan->facts, sizeof(plan->facts));
    LIST_EACH (node, &batch->requests) {
        const struct hold_handle *handle = &request_of(node)->record.handle;

        out = wire_arg(out, handle->token, handle->token_len);
    }
    return out;
}

static void put_alone(struct redis_batch *batch, struct redis_request *request,
                      struct redis_link *link)
{
    list_remove(&request->call.link);
    shelf_give(&batch->from->batches, batch);
    request->is_in_batch = false;
    redis_request_write(request, link);
    redis_link_end(link, &request->call);
}

static void on_put(struct redis_call *call)
{
    struct redis_batch *batch = container_of(call, struct redis_batch, call);
    struct redis_link *link = call->of;
    struct redis_request *first = request_of(batch->requests.next);

    list_remove(&batch->in_open);
    if (batch->len == 1 && first->r) { /* else nobody wants it any more */
        put_alone(batch, first, link);
        return;
    }
    char *out = redis_link_room(link, HEAD_MAX + (size_t)batch->len * ENTRY_MAX);
    if (out)
        redis_link_took(link, put_call(out, batch, link));
    redis_link_end(link, call);
}

/* --- back --- */

/* To the request at this place.  One of a call that failed may have lost its link when another was told. */
static const redisReply *reply_to(const struct redis_request *request, const redisReply *reply,
                                  size_t at, size_t len)
{
    static char why[] = "ERR no list of rows";
    static const redisReply unexpected = {
        .type = REDIS_REPLY_ERROR, .len = sizeof(why) - 1, .str = why};

    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == len)
        return reply->element[at];
    if (!reply || !redis_link_is_up(request->call.of))
        return NULL;
    return reply->type == REDIS_REPLY_ERROR ? reply : &unexpected;
}

static bool is_of_one_slot(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "CROSSSLOT", 9) == 0;
}

static void on_done(struct redis_call *call, const redisReply *reply)
{
    struct redis_batch *batch = container_of(call, struct redis_batch, call);
    struct redis_quota *rq = batch->from;
    struct list requests;
    size_t at = 0, len = (size_t)batch->len;

    list_remove(&batch->in_open);
    rq->takes_one_slot = rq->takes_one_slot || is_of_one_slot(reply);
    list_move(&batch->requests, &requests);
    shelf_give(&rq->batches, batch);
    for (struct list *node = list_pop_front(&requests); node; node = list_pop_front(&requests)) {
        struct redis_request *request = request_of(node);

        request->call.done(&request->call, reply_to(request, reply, at++, len));
    }
}

/* --- what a turn gathers --- */

void redis_batches_init(struct redis_quota *rq)
{
    list_init(&rq->open_batches);
    shelf_init(&rq->batches, sizeof(struct redis_batch));
}

static bool may_share(const struct redis_request *request, const struct redis_link *link)
{
    return request->kind == REQUEST_RESERVE && request->task == TASK_RESERVE &&
           !request->is_alone && !request->from->takes_one_slot &&
           link->target->topology != TOPOLOGY_CLUSTER;
}

static bool is_for(const struct redis_batch *batch, const struct redis_shared_plan *plan,
                   int64_t score, const struct redis_link *link)
{
    return batch->call.of == link && batch->len < BATCH_MAX && batch->score == score &&
           batch->plan.rows_len == plan->rows_len &&
           memcmp(batch->plan.rows, plan->rows, sizeof(plan->rows)) == 0 &&
           memcmp(batch->plan.facts, plan->facts, sizeof(plan->facts)) == 0;
}

static struct redis_batch *find(struct redis_quota *rq, const struct redis_shared_plan *plan,
                                int64_t score, const struct redis_link *link)
{
    LIST_EACH (node, &rq->open_batches) {
        struct redis_batch *batch = container_of(node, struct redis_batch, in_open);

        if (is_for(batch, plan, score, link))
            return batch;
    }
    return NULL;
}

static struct redis_batch *begin(struct redis_quota *rq, const struct redis_shared_plan *plan,
                                 int64_t score, struct redis_link *link)
{
    struct redis_batch *batch = shelf_take(&rq->batches);

    if (!batch)
        return NULL;
    *batch = (struct redis_batch){
        .call = {.put = on_put, .done = on_done}, .from = rq, .score = score, .plan = *plan};
    list_init(&batch->call.link);
    list_init(&batch->requests);
    list_push_front(&rq->open_batches, &batch->in_open);
    redis_link_later(link, &batch->call);
    return batch;
}

bool redis_batch_take(struct redis_request *request, struct redis_link *link)
{
    struct redis_quota *rq = request->from;
    struct redis_shared_plan plan;

    if (!may_share(request, link))
        return false;

    const struct redis_question question = redis_question_of(request);

    if (!redis_plan_share(&question, &plan))
        return false;

    int64_t score = redis_score(request->record.expires_us, false);

    struct redis_batch *batch = find(rq, &plan, score, link);

    if (!batch)
        batch = begin(rq, &plan, score, link);
    if (!batch)
        return false;
    request->call.of = link;
    list_push_back(&batch->requests, &request->call.link);
    batch->len++;
    return true;
}
