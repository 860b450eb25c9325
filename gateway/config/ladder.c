/* SPDX-License-Identifier: Apache-2.0 */
/* ladder.c - the ladder of a policy.      Runs on: control thread. */
#include "config/ladder.h"

#include "config/keys.h"

#define DEGREES_EXPECTED "degrees Celsius such as 80 or 76.5, 1 to 150"
#define JOBS_EXPECTED    "a whole number of jobs, 1 to 1000000"

/* What the tables read into. */
struct step {
    struct ladder_step made;
    const struct policy *policy;
};

static enum status read_tier_bit(struct reader *r, const struct node *node, struct step *step)
{
    int tier = node->kind == NODE_SCALAR ? policy_tier(step->policy, node->text) : -1;

    if (tier < 0)
        return key_wrong(r, node, "tiers", "the name of a tier of this policy", false);
    uint32_t bit = UINT32_C(1) << tier;
    if (step->made.tiers & bit)
        return reader_fail(r, node, "tier '%s' twice in one step, expected it once",
                           node->text.ptr);
    step->made.tiers |= bit;
    return ST_OK;
}

static enum status read_step_tiers(struct reader *r, const struct key *key, const struct node *node,
                                   void *object)
{
    struct step *step = object;

    UNUSED(key);
    if (node->kind == NODE_SCALAR && text_equal(node->text, TEXT("all"))) {
        step->made.tiers = (UINT32_C(1) << step->policy->tiers_len) - 1;
        return ST_OK;
    }
    if (node->kind != NODE_LIST || node->len == 0)
        return ST_INVALID;
    for (const struct node *item = node->first; item; item = item->next) {
        enum status st = read_tier_bit(r, item, step);
        if (st)
            return st;
    }
    return ST_OK;
}

#define TIERS_EXPECTED "all, or a list of tiers such as [free]"

static const struct key temperature_keys[] = {
    {"above", NODE_SCALAR, KEY_REQUIRED, key_thousandths, offsetof(struct step, made.above), 1000,
     150000, DEGREES_EXPECTED},
    {"resume_below", NODE_SCALAR, KEY_REQUIRED, key_thousandths,
     offsetof(struct step, made.resume_below), 1000, 150000, DEGREES_EXPECTED},
    {"tiers", NODE_NONE, KEY_REQUIRED, read_step_tiers, 0, 0, 0, TIERS_EXPECTED},
    {"dry_run", NODE_SCALAR, 0, key_bool, offsetof(struct step, made.is_dry_run), 0, 0,
     "true or false"},
};

static const struct key depth_keys[] = {
    {"above", NODE_SCALAR, KEY_REQUIRED, key_int64, offsetof(struct step, made.above), 1, 1000000,
     JOBS_EXPECTED},
    {"resume_below", NODE_SCALAR, KEY_REQUIRED, key_int64, offsetof(struct step, made.resume_below),
     1, 1000000, JOBS_EXPECTED},
    {"tiers", NODE_NONE, KEY_REQUIRED, read_step_tiers, 0, 0, 0, TIERS_EXPECTED},
    {"dry_run", NODE_SCALAR, 0, key_bool, offsetof(struct step, made.is_dry_run), 0, 0,
     "true or false"},
};

static enum status read_step(struct reader *r, const struct node *item, enum load_signal signal,
                             struct policy *policy)
{
    bool is_heat = signal == SIGNAL_GPU_TEMPERATURE;
    struct step step = {.made = {.signal = signal}, .policy = policy};
    enum status st = keys_read(r, item, is_heat ? temperature_keys : depth_keys,
                               ARRAY_LEN(temperature_keys), &step);

    if (st)
        return st;
    if (step.made.resume_below > step.made.above)
        return reader_fail(r, node_find(item, TEXT("resume_below")),
                           "'resume_below' is over 'above', expected it to be lower");
    if (policy->ladder.len == LADDER_STEPS_MAX)
        return reader_fail(r, item, "one step too many, expected at most %d in all",
                           LADDER_STEPS_MAX);
    policy->ladder.steps[policy->ladder.len++] = step.made;
    return ST_OK;
}

static enum status read_steps(struct reader *r, const struct node *list, enum load_signal signal,
                              struct policy *policy)
{
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_step(r, item, signal, policy);
        if (st)
            return st;
    }
    return ST_OK;
}

static enum status read_temperature(struct reader *r, const struct key *key,
                                    const struct node *node, void *object)
{
    UNUSED(key);
    return read_steps(r, node, SIGNAL_GPU_TEMPERATURE, object);
}

static enum status read_depth(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    UNUSED(key);
    return read_steps(r, node, SIGNAL_QUEUE_DEPTH, object);
}

#define STEPS_EXPECTED "a list of {above, resume_below, tiers, dry_run}"

static const struct key signal_keys[] = {
    {"gpu_temperature", NODE_LIST, 0, read_temperature, 0, 0, 0, STEPS_EXPECTED},
    {"queue_depth", NODE_LIST, 0, read_depth, 0, 0, 0, STEPS_EXPECTED},
};

enum status ladder_read(struct reader *r, const struct node *mapping, struct policy *policy)
{
    return keys_read(r, mapping, signal_keys, ARRAY_LEN(signal_keys), policy);
}
