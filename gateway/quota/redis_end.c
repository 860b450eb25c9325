/* SPDX-License-Identifier: Apache-2.0 */
/* redis_end.c - what the reply to a commit or settle means, and what follows where its hold was gone.      Runs on: worker. */

#include "base/log.h"
#include "quota/redis.h"

/* A charge that somebody waits for may have to be on replicas, too. */
static void acknowledged(struct redis_request *request)
{
    struct redis_link *link = request->call.of;
    bool is_awaited = request->op || request->partner;

    if (!is_awaited || !request->record.charges_if_gone || link->target->wait_replicas == 0) {
        redis_request_end(request);
        return;
    }
    request->is_replicating = true;
    request->from->on_way++;
    redis_link_wait(link, &request->call);
}

/* Of what is settled at once the other part may be gone for good, and so may be what was sent before: only a single one,
 * sent once, can be asked for anew. */
static bool is_undelivered(const struct redis_request *request)
{
    bool is_awaited = request->op || (request->partner && request->partner->op);

    if (request->sure_until_us == INT64_MAX || !is_awaited)
        return false;
    if (request->record.kind == OUTBOX_COMMIT)
        return true;
    return request->op && request->r->parts_len == 1 && !request->record.was_sent;
}

/* Redis has lost it, if there is no trace of what was never done. */
static bool is_surely_undone(const struct redis_request *request)
{
    return request->record.charges_if_gone && !request->record.was_sent;
}

/* The hold has expired, but its images are delivered, or were never made.  A settle that is behind its commit, and may be
 * done before anything else that the commit could say, sees to it. */
static void revive(struct redis_request *request)
{
    struct redis_request *settle = request->after;

    if (settle) {
        settle->record.charges_if_gone =
            is_surely_undone(request) && settle->record.used_images > 0;
        redis_request_end(request);
        return;
    }
    request->is_reviving = true;
    redis_request_go(request);
}

/* Without a trace the next try is forced. */
static void revived(struct redis_request *request, bool is_done)
{
    if (is_done || request->is_forced || !is_surely_undone(request)) {
        if (is_done && request->record.charges_if_gone)
            log_event(LOG_NOTE, "quota_charged_again", "store=redis why=\"its lease had ended\"");
        acknowledged(request);
        return;
    }
    request->is_forced = true;
    revive(request);
}

void redis_end_answered(struct redis_request *request, const redisReply *reply)
{
    bool is_revived = request->is_reviving;
    bool is_done = reply->integer != 0;

    request->is_reviving = false;
    if (is_revived) {
        revived(request, is_done);
    } else if (is_done || request->is_void) {
        acknowledged(request);
    } else if (is_undelivered(request)) {
        redis_late_instead(request);
        redis_request_end(request);
    } else {
        revive(request);
    }
}
