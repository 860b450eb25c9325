/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - the operator's interface in JSON (RFC 8259): what meltctl speaks.  Runs on: control thread.
 *
 *   GET  /v1/accounts/{id}/quota[?tier=T&team=X&model=M]     how its limits stand
 *   POST /v1/accounts/{id}/quota/grant   {"images": 5}       so many more (fewer, where negative) in the present window; see
 *                                                           quota.h for what that means to rolling limits and rates
 *   POST /v1/accounts/{id}/quota/set     {"images": 2}       so many count as used
 *   POST /v1/accounts/{id}/quota/reset   {}                  as if nothing had been used or granted
 *   GET  /v1/quota/top[?n=20]                                who was charged most images today, by all gateways on the store
 *                                                           (see board.h); n: up to 1000
 *
 * {id} is percent-encoded.  Bodies may also hold
 *   until    of a grant: a date such as "2026-12-31".  Then so many more in each window that is first charged up to the end
 *            of that day, the present one too; it takes the place of the last one given until a date, and 0 ends it
 *   credits  in place of images; both are numbers with up to three decimals, a grant's whole
 *   limit    daily, weekly, monthly, rolling or rate.  Left out: all of them but rate; where used is set, there must be one
 *   scope    account (the default), model or team: whose limits
 *   tier, team, model   as in the query: the tier and team are needed where this gateway has not seen the account lately
 *            and no keyfile names it; limits of a model are looked at only where it is named
 *   id       any text: a change with the same id within an hour is made once
 *
 * Top answers {"gateways": how many it speaks of, "is_whole": false where the store could not be asked and it is this
 * gateway's alone, "accounts": [{"account", "tier", "team", "images", "error"}]}: images - error <= the true number <= images.
 *
 * Other answers: {"account", "tier", "team", "limits": [{"name", "scope", "measure", "limit", "granted", "used", "left",
 * "resets", "period_s", "is_dry_run"}]}, after the change where there was one.  Images and credits are numbers, exact in
 * thousandths; resets is a time of RFC 3339 or null.  period_s is there where the limit has a length; a rate says its
 * burst as "limit", and "per_period" beside it; a limit for one model says "model".
 *
 * Errors: {"error": "what, in plain words"} with
 *   400  the body or query is wrong          404  no such path, or the account's tier is not known
 *   401  the token is missing or wrong       403  a change by address, and there is no token: see route.h
 *   405  not by this method                  413  a body of more than 64 KiB
 *   422  the account has no such limit       503  the quota store is down */
#pragma once

#include "admin/route.h"
#include "admin/board.h"
#include "quota/quota.h"

struct api_terms {
    struct loop *loop;
    struct quota *quota; /* a door of this thread's own */
    struct top *top;
    struct board *board;
    struct config *config; /* lent until the next api_configure() */
};

struct api;

/* The owner of these routes is the struct api. */
extern const struct admin_route api_routes[];

MUST_CHECK enum status api_open(const struct api_terms *terms, struct api **out);
void api_configure(struct api *api, struct config *config);
/* No ask may be pending: the admin was closed before. */
void api_close(struct api **api);
