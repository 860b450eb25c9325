/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - from the rules of a tier to the terms of one request. */
#pragma once

#include "core/account.h"
#include "core/governor.h"
#include "core/job.h"
#include "core/window.h"

#define LIMITS_MAX   4
#define MESSAGES_MAX 32

enum limit_kind { LIMIT_NONE, LIMIT_DAY };

/* A rule as written: so many units in each window of a kind. */
struct limit_rule {
    enum limit_kind kind;
    int64_t units; /* >= 0 */
};

struct tier {
    const char *name; /* owned by the config generation, as all texts here */
    int index;        /* in policy.tiers: the bit in a ladder step's tier mask */
    int stats_index;  /* the tier's place in metrics, the same for one name across generations */
    int priority;     /* higher is served first */
    int64_t max_images_per_request; /* 1..JOB_IMAGES_MAX */
    int64_t max_wait_ms;            /* 0: never queue */
    int rules_len;                  /* 0: unlimited */
    struct limit_rule rules[LIMITS_MAX];
};

struct message {
    const char *language; /* BCP 47 primary subtag, lower case: "en", "ko" */
    const char *text;     /* UTF-8 */
};

struct policy {
    const char *name; /* of the file, without folder and ending */
    const char *timezone;
    struct zone zone;
    int tiers_len;
    struct tier tiers[TIERS_MAX];
    struct ladder ladder;
    int messages_len; /* >= 1; the first is the default */
    struct message messages[MESSAGES_MAX];
};

/* A rule made concrete for one instant. */
struct limit {
    enum limit_kind kind;
    int64_t units;
    struct window window;
};

/* The rules resolved for this account and job. */
struct terms {
    int tier;
    int priority;
    int64_t max_images_per_request;
    int64_t max_wait_ms; /* 0: never queue */
    int limits_len;      /* 0: unlimited */
    struct limit limits[LIMITS_MAX];
};

/* account->tier must be an index into policy->tiers.  OPERATION_PASS has no limits: it makes no image. */
void policy_terms(const struct policy *policy, const struct account *account, const struct job *job,
                  int64_t now_s, struct terms *out);
/* The tier of that name, or -1. */
int policy_tier(const struct policy *policy, struct text name);
/* The unavailable message for an Accept-Language value (RFC 9110 12.5.4: quality values, "*", ranges such as ko-KR by
 * their primary subtag; of equals the one named first).  Where nothing fits, the first message, but rather one that the
 * client did not exclude by q=0.  Malformed elements are passed over; only the first 64 are read. */
const struct message *policy_message(const struct policy *policy, struct text accept_language);
/* The word of a limit in RateLimit fields, messages and logs: LIMIT_DAY is "daily". */
const char *limit_name(enum limit_kind kind);
