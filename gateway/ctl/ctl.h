/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h - one call of meltctl: what the command line says, and the verbs. */
#pragma once

#include "base/text.h"

/* What a call ends with. */
enum exit_code {
    EXIT_DONE,
    EXIT_REFUSED,     /* the gateway, or the file, said no */
    EXIT_USAGE,       /* the command line is wrong */
    EXIT_UNREACHABLE, /* no gateway answered */
};

/* The options, each with the letter by which verbs say that they take it. */
#define CTL_OPTIONS(X)                                                                             \
    X(images, 'i', "N", "so many images")                                                          \
    X(credits, 'c', "N", "so many credits, with up to three decimals")                             \
    X(until, 'u', "DATE", "in each window up to the end of this day, such as 2026-12-31")          \
    X(limit, 'l', "NAME", "daily, weekly, monthly, rolling or rate; else all but rate")            \
    X(scope, 's', "WHOSE", "account (default), model or team: whose limits")                       \
    X(tier, 't', "TIER", "the account's tier")                                                     \
    X(team, 'g', "TEAM", "the account's team")                                                     \
    X(model, 'm', "MODEL", "also limits of this model")                                            \
    X(id, 'x', "TEXT", "made once, however often it is sent with this text within an hour")        \
    X(timezone, 'z', "ZONE", "of the account's days, such as Europe/Berlin")                       \
    X(n, 'n', "N", "so many accounts (default 20)")                                                \
    X(label, 'b', "TEXT", "a note about the key, for people")                                      \
    X(account, 'a', "ACCOUNT", "all keys of this account")                                         \
    X(keyfile, 'k', "FILE", "a file of keys; without it, the gateway's keystore")

struct ctl {
    const char *admin;      /* URL; NULL: by the socket */
    const char *socket;     /* path */
    const char *token_file; /* NULL: none */
    bool is_json;
    const char *object; /* the argument behind the verb; NULL: none */
#define X(name, letter, value, help) const char *name;
    CTL_OPTIONS(X)
#undef X
};

struct verb {
    const char *noun, *name;
    const char *object;  /* "ACCOUNT"; NULL: takes none; "[ACCOUNT]": may be left out */
    const char *options; /* letters */
    const char *needs;   /* letters of those that must be there; '|': one of images and credits */
    const char *help;
    int (*run)(const struct ctl *ctl);
};

int quota_show(const struct ctl *ctl);
int quota_grant(const struct ctl *ctl);
int quota_set(const struct ctl *ctl);
int quota_reset(const struct ctl *ctl);
int quota_top(const struct ctl *ctl);
int quota_service(const struct ctl *ctl);
int key_add(const struct ctl *ctl);
int key_revoke(const struct ctl *ctl);
int key_list(const struct ctl *ctl);
int key_import(const struct ctl *ctl);

/* "meltctl: ..." on standard error; returns code. */
int ctl_fail(enum exit_code code, const char *format, ...) PRINTF_LIKE(2, 3);
