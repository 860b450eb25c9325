/* SPDX-License-Identifier: Apache-2.0 */
/* share_rig.h - workers' shares on a store that does as it is told. */
#pragma once

#include <criterion/criterion.h>

#include "quota/share.h"

#define SHARE_WORKERS 4
#define SHARE_CLAIMS  64
#define SHARE_WINDOWS 512
#define US_PER_S      INT64_C(1000000)
/* 2026-11-22 00:00:00 UTC, when each test begins */
#define BASE_S INT64_C(1795305600)

struct share_counter {
    int row;
    uint32_t ordinal;
    int64_t leased_units;
    int64_t delivered_units; /* as far as the test tells */
};

struct fake_claim {
    struct quota_claim claim;
    struct quota_claim *asked;
    struct op *op; /* NULL: cancelled */
};

struct share_rig {
    struct loop *loop;
    struct quota quotas[SHARE_WORKERS];
    struct shares shares[SHARE_WORKERS];
    struct stats stats;
    struct policy policy;

    enum status answer; /* to claims; ST_PENDING: later, by share_rig_answer() */
    int claims;
    int pending_len;
    struct fake_claim pending[SHARE_CLAIMS];
    int counters_len;
    struct share_counter counters[SHARE_WINDOWS];
};

/* One a test. */
extern struct share_rig rig;

void share_rig_begin(void);
/* Checks that no more was delivered than leased. */
void share_rig_end(void);
/* One more limit; share_rig_configure() after the last one. */
void share_rig_limit(enum service_period period, enum limit_measure measure, int64_t units);
void share_rig_configure(void);
/* That limit alone. */
void share_rig_per_minute(int64_t images);
struct share_counter *share_rig_counter(int row, uint32_t ordinal);
/* Images leased in the newest window of all. */
int64_t share_rig_leased(void);
/* A claim that waits is done, or not; and is told so, or that the store was too slow. */
void share_rig_answer(int which, bool is_done, enum status st);
/* The loop's timers fire. */
void share_rig_pass_us(int64_t us);

struct asker {
    struct share_hold hold;
    struct op op;
    bool is_done;
    enum status st;
};

void asker_done(struct op *op, enum status st);
/* An image costs half a credit. */
enum status asker_ask(struct asker *a, int worker, int64_t images);
