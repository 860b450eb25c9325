/* SPDX-License-Identifier: Apache-2.0 */
/* policy.h - from the rules of a tier to the terms of one request. */
#pragma once

#include "core/cost.h"
#include "core/governor.h"
#include "core/limit.h"
#include "core/service.h"

#define MESSAGES_MAX 32
#define RULES_MAX    12
#define TEAMS_MAX    1024

/* What a tier does while the quota store is down. */
enum store_down {
    STORE_DOWN_NONE,
    STORE_DOWN_CLOSED, /* refuses */
    STORE_DOWN_OPEN,   /* admits, uncounted */
    STORE_DOWN_LOCAL,  /* admits a share of each limit, and charges it later */
};

struct tier {
    const char *name; /* owned by the config generation, as all texts here */
    int index;        /* in policy.tiers: the bit in a ladder step's tier mask */
    int stats_index;  /* the tier's place in metrics, the same for one name across generations */
    int priority;     /* higher is served first */
    int64_t max_images_per_request; /* 1..JOB_IMAGES_MAX */
    int64_t max_wait_ms;            /* 0: never queue */
    enum store_down on_store_down;
    int rules_len; /* 0: unlimited */
    struct limit_rule rules[RULES_MAX];
};

/* Accounts that share limits; an account belongs to one team at most. */
struct team {
    const char *name;
    int rules_len;
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
    int64_t
        stagger_s; /* calendar windows of accounts are moved by 0..stagger_s-1 seconds, fixed for each account */
    struct price_list prices;
    int tiers_len;
    struct tier tiers[TIERS_MAX];
    int teams_len;
    struct team *teams; /* owned by the generation; ascending by name */
    int service_len;    /* 0: the service as a whole has no limits */
    struct service_rule service[SERVICE_ROWS];
    struct ladder ladder;
    int messages_len; /* >= 1; the first is the default */
    struct message messages[MESSAGES_MAX];
};

/* The rules resolved for this account and job. */
struct terms {
    int tier;
    int priority;
    int64_t max_images_per_request;
    int64_t max_wait_ms; /* 0: never queue */
    enum store_down on_store_down;
    int64_t from_s, until_s; /* store time, the end exclusive, in which their windows are these */
    bool fits_all_jobs;      /* no rule asks what image it is: the least terms, and any others */
    bool
        is_over_limits_max; /* more rules apply than LIMITS_MAX; the configuration refuses such policies */
    int limits_len; /* 0: unlimited.  Those of one subject lie together: the account's (and account and model's) first, the
                     * team's last */
    struct limit
        limits[LIMITS_MAX]; /* last: what is kept of terms ends with the limits that there are */
};

/* Bytes of terms, or of a copy of them, with so many limits. */
static inline size_t terms_bytes(int limits_len)
{
    return offsetof(struct terms, limits) + (size_t)limits_len * sizeof(struct limit);
}

/* account->tier must be an index into policy->tiers, account->team into policy->teams or -1.  now_s is store time. */
void policy_terms(const struct policy *policy, const struct account *account, const struct job *job,
                  int64_t now_s, struct terms *out);
/* The terms of the least that this account may ask for, whatever that turns out to be: one image of the lowest price, without
 * the limits that hold for some models alone.  Whoever is refused by these is refused by any. */
void policy_least_terms(const struct policy *policy, const struct account *account, int64_t now_s,
                        struct terms *out);
/* Would these least terms of an account be the terms of any of its jobs that make images at that time, too? */
static inline bool policy_terms_stand(const struct terms *least, int64_t now_s)
{
    return least->fits_all_jobs && now_s >= least->from_s && now_s < least->until_s;
}
/* The tier, or team, of that name, or -1. */
int policy_tier(const struct policy *policy, struct text name);
int policy_team(const struct policy *policy, struct text name);
/* The most limits that could apply to one request of this tier, with any model and team: for the configuration's check. */
int policy_most_limits(const struct policy *policy, const struct tier *tier);
/* The unavailable message for an Accept-Language value (RFC 9110 12.5.4, RFC 4647 3.3.1): of the messages wanted most the
 * one named first; where nothing fits, the first one that is not excluded by q=0. */
const struct message *policy_message(const struct policy *policy, struct text accept_language);
