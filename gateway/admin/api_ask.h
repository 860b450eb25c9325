/* SPDX-License-Identifier: Apache-2.0 */
/* api_ask.h - what the API is asked, read from body and query, and what it answers, as JSON.  Pure. */
#pragma once

#include "admin/api_json.h"
#include "admin/board.h"
#include "core/reservation.h"
#include "quota/quota.h"

#define API_NAME_MAX 128

/* The parameters of one ask. */
struct api_query {
    char tier[API_NAME_MAX + 1], team[API_NAME_MAX + 1], model[API_NAME_MAX + 1];
    char id[API_NAME_MAX + 1];
    enum limit_measure measure; /* NONE: not said */
    int64_t units;              /* of images or credits */
    int64_t until_day;          /* the ordinal of the last day of a grant; 0: not said */
    enum limit_kind limit;      /* NONE: not said */
    enum limit_scope scope;     /* NONE: not said */
};

/* Reads tier, team and model of a query.  ST_OK, or ST_INVALID with why. */
MUST_CHECK enum status api_read_query(struct text query, struct api_query *out,
                                      char why[API_WHY_MAX]);
/* Reads the body of a change.  Likewise. */
MUST_CHECK enum status api_read_body(struct text body, enum quota_change_kind kind,
                                     struct api_query *out, char why[API_WHY_MAX]);
/* Keeps those of the terms that the change is about.  ST_OK with at least one, or ST_INVALID with why. */
MUST_CHECK enum status api_select(const struct api_query *query, enum quota_change_kind kind,
                                  struct terms *terms, char why[API_WHY_MAX]);

const char *api_scope_name(enum limit_scope scope);       /* "account", "model", "team" */
const char *api_measure_name(enum limit_measure measure); /* "images", "credits" */

/* How a limit of the whole service stands. */
struct api_service_limit {
    struct quota_claim claim; /* told by the store */
    int64_t here_units, in_hand_units;
};

/* Each writes the answer, status too. */
void api_print_quota(struct admin_answer *out, const struct policy *policy,
                     const struct account *account, const struct reservation *r);
void api_print_top(struct admin_answer *out, const struct policy *policy, int generation,
                   const struct board_list *board);
void api_print_service(struct admin_answer *out, const struct api_service_limit *limits, int len);
