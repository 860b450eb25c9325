/* SPDX-License-Identifier: Apache-2.0 */
/* redis_order.c - what else is under way, also where a Cluster sends requests to and fro.      Runs on: worker.
 * One node answers in order; over several, and with some put off, it is the requests that must keep it. */

#include "quota/redis.h"

bool redis_request_is_behind(const struct redis_request *request)
{
    if (request->kind != REQUEST_END)
        return false;
    LIST_EACH (node, &request->from->unsent) {
        const struct redis_request *other = container_of(node, struct redis_request, in_unsent);

        if (other == request->after)
            break;
        if (other->record.handle.bucket == request->record.handle.bucket)
            return true;
    }
    return redis_request_is_elsewhere(request);
}

struct list *redis_request_place(struct redis_request *request)
{
    struct redis_request *settle = request->after;

    return settle && !list_is_empty(&settle->in_unsent) ? &settle->in_unsent
                                                        : &request->from->unsent;
}

bool redis_request_is_elsewhere(const struct redis_request *request)
{
    const struct redis_request *commit = request->before;

    return commit && commit->is_sent &&
           commit->call.of !=
               redis_route_link(&request->from->route, request->record.handle.bucket);
}

/* --- a reservation, and what is on its way about it --- */

static void **tie_of(const struct redis_request *request)
{
    struct reservation_part *part = &request->about->parts[request->part];

    return request->kind == REQUEST_RENEW ? &part->renewal : &part->commit;
}

void redis_request_tie(struct redis_request *request, struct reservation *r, int part)
{
    request->about = r;
    request->part = part;
    *tie_of(request) = request;
}

void redis_request_untie(struct redis_request *request)
{
    if (request->about)
        *tie_of(request) = NULL;
    request->about = NULL;
    if (request->before)
        request->before->after = NULL;
    if (request->after)
        request->after->before = NULL;
    request->before = NULL;
    request->after = NULL;
}

void redis_request_tie_settle(struct redis_request *settle, struct reservation *r, int part)
{
    struct redis_request *renewal = r->parts[part].renewal;
    struct redis_request *commit = r->parts[part].commit;

    if (renewal)
        redis_request_untie(renewal);
    if (!commit)
        return;
    redis_request_untie(commit);
    commit->after = settle;
    if (settle)
        settle->before = commit;
}

void redis_request_ended(struct redis_request *request)
{
    struct redis_request *settle = request->after;

    redis_request_untie(request);
    if (settle && !list_is_empty(&settle->in_unsent))
        redis_requests_send(settle->from);
}

bool redis_requests_are_due(const struct redis_quota *rq)
{
    if (rq->on_way > 0 || !list_is_empty(&rq->ops))
        return true;
    LIST_EACH (node, &rq->unsent)
        if (!container_of(node, struct redis_request, in_unsent)->is_on_disk)
            return true;
    return false;
}
