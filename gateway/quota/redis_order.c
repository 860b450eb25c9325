/* SPDX-License-Identifier: Apache-2.0 */
/* redis_order.c - what else of a bucket is under way, where a Cluster sends requests to and fro.      Runs on: worker.
 * One node answers in order; over several, and with some put off, it is the requests that must keep it. */

#include "quota/redis.h"

bool redis_request_is_behind(const struct redis_request *request)
{
    if (request->kind != REQUEST_END)
        return false;
    LIST_EACH (node, &request->from->unsent) {
        const struct redis_request *other = container_of(node, struct redis_request, in_unsent);

        if (other->record.handle.bucket == request->record.handle.bucket)
            return true;
    }
    return false;
}

static bool is_settle_of(const struct redis_request *request, const struct redis_request *commit)
{
    return request->kind == REQUEST_END && request->record.kind == OUTBOX_SETTLE &&
           request->record.handle.bucket == commit->record.handle.bucket &&
           redis_token_id(&request->record.handle) == redis_token_id(&commit->record.handle);
}

struct redis_request *redis_request_settle_behind(const struct redis_request *commit)
{
    const struct redis_quota *rq = commit->from;

    for (int i = 0; i < rq->route.nodes_len; i++) {
        LIST_EACH (node, &rq->route.nodes[i]->link.calls) {
            struct redis_call *call = container_of(node, struct redis_call, link);
            struct redis_request *request = container_of(call, struct redis_request, call);

            if (call->done == commit->call.done && is_settle_of(request, commit))
                return request;
        }
    }
    LIST_EACH (node, &rq->unsent) {
        struct redis_request *request = container_of(node, struct redis_request, in_unsent);

        if (is_settle_of(request, commit))
            return request;
    }
    return NULL;
}
