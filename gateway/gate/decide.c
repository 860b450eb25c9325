/* SPDX-License-Identifier: Apache-2.0 */
/* decide.c - POLICY and DECIDE: the terms of this account, and the verdict.      Runs on: worker.
 * Both judge what is at hand; neither waits, and no quota has been touched yet. */
#include <string.h>

#include "gate/request.h"

static int64_t now_s(const struct request *req)
{
    return quota_now_us(req->gate->quota) / 1000000;
}

/* In the arena, as long as their limits are.  False: no memory. */
static bool keep_terms(struct request *req, const struct terms *terms)
{
    size_t bytes = terms_bytes(terms->limits_len);

    req->terms = arena_alloc(&req->arena, bytes);
    if (req->terms)
        memcpy(req->terms, terms, bytes);
    return req->terms != NULL;
}

/* ST_OK or ST_NOMEM.  Where prices and models do not matter, the terms that the account was judged by before are these. */
enum status policy_begin(struct request *req)
{
    int64_t at_s = now_s(req);
    struct terms terms;

    if (req->terms && policy_terms_stand(req->terms, at_s))
        return ST_OK;
    policy_terms(&req->config->policy, &req->identity.account, &req->job, at_s, &terms);
    return keep_terms(req, &terms) ? ST_OK : ST_NOMEM;
}

enum step policy_end(struct request *req, enum status st)
{
    return st == ST_OK ? STEP_NEXT : request_end_with(req, OUTCOME_NO_MEMORY);
}

/* Nobody is refused by a view that may be old, so there is no jitter to be spread by at first. */
static struct verdict judge(const struct request *req, const struct job *job)
{
    const struct ladder *ladder = &req->config->policy.ladder;
    struct load_view view = gate_view(req, false);
    struct verdict verdict = admission_decide(req->terms, job, &view, ladder, 0);

    if (verdict.kind == VERDICT_ADMIT)
        return verdict;
    view = gate_view(req, true);
    return admission_decide(req->terms, job, &view, ladder, (uint32_t)gate_random(req->gate));
}

enum outcome decide_before_body(struct request *req)
{
    struct job least = {.operation = req->operation, .images = 1};
    struct verdict verdict;
    struct terms terms;

    policy_least_terms(&req->config->policy, &req->identity.account, now_s(req), &terms);
    if (!keep_terms(req, &terms))
        return OUTCOME_NO_MEMORY;
    if (reserve_is_denied(req, req->terms)) {
        const struct reservation *r = req->reservation;

        stats_add(&req->gate->stats, STAT_DENIED_HITS, 0, 1);
        return outcome_of_limit(r->limits[r->refused_by].limit.rule.kind);
    }
    if (reserve_is_over_service(req))
        return OUTCOME_SERVICE_LIMIT;
    verdict = judge(req, &least);
    if (verdict.kind != VERDICT_SHED)
        return OUTCOME_NONE;
    req->verdict = verdict;
    return outcome_of_reason(verdict.reason);
}

enum status decide_begin(struct request *req)
{
    req->verdict = judge(req, &req->job);
    return ST_OK;
}

/* What a step of the ladder on trial would have done is logged and counted. */
static void judge_trial(struct request *req)
{
    struct load_view view;

    if (!governor_has_trials(&req->config->policy.ladder))
        return;
    view = gate_view(req, false);
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
