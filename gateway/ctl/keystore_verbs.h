/* SPDX-License-Identifier: Apache-2.0 */
/* keystore_verbs.h - meltctl key add, revoke, list where no file is named: the gateway's keystore, by its admin API. */
#pragma once

#include "ctl/ctl.h"

/* The names are checked already. */
int keystore_add(const struct ctl *ctl);
int keystore_list(const struct ctl *ctl);
/* digits: the beginning of a SHA-256, or all of it. */
int keystore_revoke(const struct ctl *ctl, const char *digits);
int keystore_revoke_account(const struct ctl *ctl);
