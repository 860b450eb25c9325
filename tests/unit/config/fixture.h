/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a folder of configuration files for one test, gone with fixture_close. */
#pragma once

#include "config/config.h"

/* 2026-11-21 12:00:00 UTC */
#define FIXTURE_NOW_S INT64_C(1795262400)

/* The parts of a small main file that loads. */
#define MAIN_LISTEN   "listen: [{address: '127.0.0.1:8080'}]\n"
#define MAIN_POLICIES "policies: policy.yaml\n"
#define MAIN_IDENTITY "identity: [{bearer: {accept: any, tier: free}}]\n"
#define MAIN_BACKENDS "backends: [{name: gpu0, url: 'http://127.0.0.1:9001', dialect: openai}]\n"
#define MAIN_FILE     MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY MAIN_BACKENDS

/* Makes the folder, with the policy in policy.yaml and one key in accounts.yaml. */
void fixture_open(void);
void fixture_close(void);
void fixture_write(const char *name, const char *text);
const char *fixture_path(const char *name);

/* Loads text as main.yaml of the folder.  The error, without the folder, is in fixture_error. */
enum status fixture_load(const char *text, struct config **out);
/* Loads a text that must be right. */
struct config *fixture_load_ok(const char *text);
/* Loads text as a policy, which lives until fixture_close(). */
enum status fixture_load_policy(const char *text, struct policy *out);
extern char fixture_error[CONFIG_ERROR_MAX];

extern const struct config_known fixture_known;
