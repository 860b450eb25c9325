/* SPDX-License-Identifier: Apache-2.0 */
/* keys_rig.h - a keystore on a real Redis, with two doors on one loop. */
#pragma once

#include "base/clock.h"
#include "identity/identity.h"
#include "identity/key_task.h"
#include "identity/source.h"
#include "unit/quota/rig.h"
#include "unit/whole.h"

#define KEYS_DOORS 2

struct keys_rig {
    struct rig redis;
    struct config
        *config; /* of the rig: a policy with tiers free and plus, and teams blue and red */
    struct keystore_conf conf;
    struct team teams[2];
    struct zone zone;
    struct stats stats[KEYS_DOORS];
    struct keystore *store;
    struct keys *keys[KEYS_DOORS];
};

/* Redis runs; the keystore is not open. */
void keys_rig_init(struct keys_rig *rig);
/* Opens the doors, and returns when they know what was revoked. */
void keys_rig_open(struct keys_rig *rig);
void keys_rig_fini(struct keys_rig *rig);

/* An ask, and its end. */
struct keys_ask_of {
    struct key_wait wait;
    struct rig_wait op;
    enum status st; /* of the call */
};
void keys_rig_begin(struct keys_rig *rig, int door, const char *key, struct keys_ask_of *ask);
/* The verdict in the end. */
enum key_verdict keys_rig_ask(struct keys_rig *rig, int door, const char *key);
/* Whose the key is; "" where it is not known. */
const char *keys_rig_account(struct keys_rig *rig, int door, const char *key);
uint64_t keys_rig_count(const struct keys_rig *rig, int door, enum key_result result);
/* So much later, with a turn of the loop; then the doors have heard of all revocations. */
void keys_rig_later(struct keys_rig *rig, int64_t us);

/* Tasks, to their end.  The answer is freed by the next. */
enum status keys_rig_add(struct keys_rig *rig, const char *key, const char *account,
                         const char *tier);
enum status keys_rig_add_as(struct keys_rig *rig, const char *key, const struct key_record *record);
enum status keys_rig_list(struct keys_rig *rig, const char *account, const char *cursor, int len);
enum status keys_rig_revoke(struct keys_rig *rig, const char *digits);
enum status keys_rig_revoke_account(struct keys_rig *rig, const char *account);
const struct key_answer *keys_rig_answer(void);
/* The SHA-256 of a key, in hex. */
const char *keys_rig_digits(const char *key);
