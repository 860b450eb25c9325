/* SPDX-License-Identifier: Apache-2.0 */
/* head.c - HEAD: the head of the request, and what follows from it alone: its route, its ids, who stands behind it.
 * Runs on: worker.
 * Only paths that a dialect counts, and those that the configuration lists, have a route: no unlimited path leads to a
 * GPU. */
#include <string.h>

#include "gate/ids.h"
#include "gate/request.h"

int64_t head_budget(const struct request *req)
{
    return req->config->head_timeout_ms;
}

enum status head_begin(struct request *req)
{
    req->dialect = req->gate->backends->backends[0].dialect;
    return client_await_head(req->client, &req->op);
}

static enum outcome outcome_of_fault(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_NONE:
    case HTTP_FAULT_MALFORMED:
        return OUTCOME_BAD_REQUEST;
    case HTTP_FAULT_TARGET_TOO_LONG:
        return OUTCOME_TARGET_TOO_LONG;
    case HTTP_FAULT_HEAD_TOO_LARGE:
        return OUTCOME_HEAD_TOO_LARGE;
    case HTTP_FAULT_NOT_IMPLEMENTED:
        return OUTCOME_NOT_IMPLEMENTED;
    case HTTP_FAULT_VERSION:
        return OUTCOME_BAD_VERSION;
    }
    return OUTCOME_BAD_REQUEST;
}

/* A path that every backend reads alike: no empty or dot segments, nothing escaped, no parameters. */
static bool is_plain(struct text path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (strchr("%;\\", path.ptr[i]))
            return false;
        if (path.ptr[i] == '/' && i + 1 < path.len && strchr("/.", path.ptr[i + 1]))
            return false;
    }
    return true;
}

static bool pass_matches(const struct pass_rule *rule, const struct http_head *head)
{
    struct text path = text_of(rule->path);
    bool is_get = text_equal(text_of(rule->method), TEXT("GET"));

    if (!text_equal(head->method_text, text_of(rule->method)) &&
        !(is_get && head->method == METHOD_HEAD))
        return false;
    if (path.len > 0 && path.ptr[path.len - 1] == '*')
        return text_starts_with(head->path, (struct text){path.ptr, path.len - 1});
    return text_equal(head->path, path);
}

static void find_route(struct request *req, const struct http_head *head)
{
    const struct backend_set *set = req->gate->backends;
    const struct config *config = req->config;

    for (int i = 0; i < set->len && !req->operation; i++) {
        req->operation = set->backends[i].dialect->matches(head);
        if (req->operation)
            req->dialect = set->backends[i].dialect;
    }
    for (int i = 0; i < config->pass_len && !req->operation; i++) {
        if (pass_matches(&config->pass[i], head) && is_plain(head->path))
            req->operation = OPERATION_PASS;
    }
}

static bool is_trusted_proxy(const struct config *config, const struct address_short *address)
{
    if (config->trusted_proxies_len == 0)
        return false;
    struct address wide = address_widen(address);

    for (int i = 0; i < config->trusted_proxies_len; i++) {
        if (address_prefix_holds(&config->trusted_proxies[i], &wide))
            return true;
    }
    return false;
}

bool head_peer_is_trusted(const struct request *req)
{
    return is_trusted_proxy(req->config, &req->client->peer);
}

/* Walks one line of X-Forwarded-For from its end, past the proxies that are trusted.  True: on to the line before it. */
static bool walk_back(struct request *req, struct text list)
{
    while (list.len > 0) {
        size_t at = list.len;
        struct address address;

        if (!is_trusted_proxy(req->config, &req->from))
            return false;
        while (at > 0 && list.ptr[at - 1] != ',')
            at--;
        if (ids_forwarded_address(text_trim((struct text){list.ptr + at, list.len - at}), &address))
            return false;
        req->from = address_shorten(&address);
        list.len = at > 0 ? at - 1 : 0;
    }
    return true;
}

/* The last address that a trusted proxy vouches for.  Proxies add to the line or add a line: the last one counts first. */
static void find_client(struct request *req, const struct http_head *head)
{
    req->from = req->client->peer;
    if (!head_has(head, NAME_X_FORWARDED_FOR))
        return;
    for (int i = head->fields_len - 1; i >= 0; i--) {
        if (head->fields[i].id == NAME_X_FORWARDED_FOR && !walk_back(req, head->fields[i].value))
            return;
    }
}

static void keep_id(struct request *req, const struct http_head *head)
{
    char made[REQUEST_ID_MADE_LEN + 1];
    struct text kept = arena_copy(&req->arena, ids_request(req->gate, head, made));

    if (kept.len)
        req->id = kept.ptr;
}

static void keep_facts(struct request *req, const struct http_head *head)
{
    keep_id(req, head);
    req->message = policy_message(&req->config->policy, head_field(head, TEXT("accept-language")));
    req->wants_problem = problem_is_preferred(head_value(head, NAME_ACCEPT));
    req->is_version_1_0 = head->minor_version == 0;
    req->is_method_head = head->method == METHOD_HEAD;
    if (!head->keeps_alive)
        req->client->must_close = true;
    find_client(req, head);
    find_route(req, head);
}

enum step head_end(struct request *req, enum status st)
{
    if (st == ST_OK) {
        keep_facts(req, &req->client->slab->head);
        if (!req->operation)
            return request_end_with(req, OUTCOME_UNKNOWN_PATH);
        return STEP_NEXT;
    }
    req->client->must_close = true;
    keep_id(req, NULL);
    if (st == ST_INVALID)
        return request_end_with(req, outcome_of_fault(req->client->slab->parser.fault));
    if (st == ST_TIMEOUT)
        return request_end_with(req, OUTCOME_HEAD_TIMEOUT);
    return request_end_with(req, st == ST_NOMEM ? OUTCOME_NO_MEMORY : OUTCOME_CLIENT_GONE);
}
