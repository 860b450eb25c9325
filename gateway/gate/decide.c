/* SPDX-License-Identifier: Apache-2.0 */
/* decide.c - POLICY and DECIDE: the terms of this account, and the verdict.      Runs on: worker.
 * Both judge what is at hand; neither waits, and no quota has been touched yet. */
#include <string.h>

#include "gate/request.h"

static int64_t now_s(const struct request *req)
{
    return quota_now_us(req->gate->quota) / 1000000;
}

/* ST_OK or ST_NOMEM. */
enum status policy_begin(struct request *req)
{
    struct terms terms;
    size_t bytes;

    policy_terms(&req->config->policy, &req->identity.account, &req->job, now_s(req), &terms);
    bytes = terms_bytes(terms.limits_len);
    req->terms = arena_alloc(&req->arena, bytes);
    if (!req->terms)
        return ST_NOMEM;
    memcpy(req->terms, &terms, bytes);
    return ST_OK;
}

enum step policy_end(struct request *req, enum status st)
{
    return st == ST_OK ? STEP_NEXT : request_end_with(req, OUTCOME_NO_MEMORY);
}

static struct verdict decide(const struct request *req, const struct terms *terms,
                             const struct job *job, bool is_fresh)
{
    struct load_view view = gate_view(req, is_fresh);

    return admission_decide(terms, job, &view, &req->config->policy.ladder,
                            (uint32_t)gate_random(req->gate));
}

/* Nobody is refused by a view that may be old. */
static struct verdict judge(const struct request *req, const struct terms *terms,
                            const struct job *job)
{
    struct verdict verdict = decide(req, terms, job, false);

    return verdict.kind == VERDICT_ADMIT ? verdict : decide(req, terms, job, true);
}

enum outcome decide_before_body(struct request *req)
{
    struct job least = {.operation = req->operation, .images = 1};
    struct verdict verdict;
    struct terms terms;

    policy_least_terms(&req->config->policy, &req->identity.account, now_s(req), &terms);
    if (reserve_is_denied(req, &terms)) {
        const struct reservation *r = req->reservation;

        stats_add(&req->gate->stats, STAT_DENIED_HITS, 0, 1);
        return outcome_of_limit(r->limits[r->refused_by].limit.rule.kind);
    }
    if (reserve_is_over_service(req))
        return OUTCOME_SERVICE_LIMIT;
    verdict = judge(req, &terms, &least);
    if (verdict.kind != VERDICT_SHED)
        return OUTCOME_NONE;
    req->verdict = verdict;
    return outcome_of_reason(verdict.reason);
}

enum status decide_begin(struct request *req)
{
    req->verdict = judge(req, req->terms, &req->job);
    return ST_OK;
}

/* What a step of the ladder on trial would have done is logged and counted. */
static void judge_trial(struct request *req)
{
    struct load_view view = gate_view(req, false);

    req->trial = admission_trial(req->terms, &req->job, &view, &req->config->policy.ladder);
    if (req->trial != REASON_NONE)
        stats_add(&req->gate->stats, STAT_TRIALS, (int)outcome_of_reason(req->trial), 1);
}

enum step decide_end(struct request *req, enum status st)
{
    ASSERT(st == ST_OK);
    if (req->verdict.kind == VERDICT_ADMIT || req->verdict.kind == VERDICT_QUEUE) {
        judge_trial(req);
        return STEP_NEXT;
    }
    return request_end_with(req, outcome_of_reason(req->verdict.reason));
}
