/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - one generation of configuration: counted, never changed once published. */
#pragma once

#include <stdatomic.h>

#include "base/address.h"
#include "core/policy.h"

#define LISTEN_MAX           16
#define IDENTITY_SOURCES_MAX 8
#define TRUST_MAX            16
#define BACKENDS_MAX         1024
#define TELEMETRY_MAX        4
#define PASS_MAX             64

enum store_kind { STORE_NONE, STORE_EMBEDDED, STORE_REDIS };

struct store_url {
    enum store_kind kind;
    const char *path; /* embedded: folder; redis+unix: socket; else NULL */
    const char *host; /* redis */
    int port;
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    int db;
};

enum identity_kind {
    IDENTITY_NONE,
    IDENTITY_KEYFILE,
    IDENTITY_HEADER,
    IDENTITY_BEARER,
    IDENTITY_ADDRESS
};

/* One key of an accounts file. */
struct key_entry {
    unsigned char sha256[32];
    const char *account;
    int tier;
};

struct identity_source {
    enum identity_kind kind;
    /* keyfile */
    const char *keyfile;
    int keys_len;
    struct key_entry *keys; /* owned; ascending by sha256, no two alike */
    /* header */
    const char *account_header;
    const char *tier_header; /* NULL: tier counts for all */
    int trust_len;
    struct address_prefix trust[TRUST_MAX];
    /* bearer, address, and header without a tier header */
    int tier;
    /* address */
    int prefix_v4, prefix_v6;
};

struct http_url {
    const char *host_port; /* "127.0.0.1:9001": to resolve, and for Host */
    const char *path;      /* "/metrics"; "" when the URL has none */
};

enum telemetry_kind { TELEMETRY_NONE, TELEMETRY_PROMETHEUS };

struct telemetry_conf {
    enum telemetry_kind kind;
    struct http_url url;
    int64_t interval_ms;
};

struct backend_conf {
    const char *name;
    struct http_url url; /* path is a prefix for every request's path; no trailing slash */
    const char *dialect;
    int max_in_flight;
    int telemetry_len;
    struct telemetry_conf telemetry[TELEMETRY_MAX];
    const char *
        probe_path; /* what a returning backend must answer with 2xx to GET; NULL: connecting suffices */
};

/* A safe path that is forwarded without being counted. */
struct pass_rule {
    const char *method; /* GET, HEAD or OPTIONS; GET admits HEAD too */
    const char *path;   /* exact; or a prefix when it ends with "*" */
};

enum commit_kind { COMMIT_NONE, COMMIT_SENT, COMMIT_ACKNOWLEDGED };

struct config {
    atomic_int refs;
    int generation;
    const char *file;

    int listen_len;
    struct address listen[LISTEN_MAX];
    bool has_admin;
    struct address admin;
    struct store_url store;
    int identity_len;
    struct identity_source identity[IDENTITY_SOURCES_MAX];
    struct policy policy;
    int backends_len;
    struct backend_conf *backends; /* owned */
    int pass_len;
    struct pass_rule pass[PASS_MAX];
    int trusted_proxies_len; /* whose Forwarded and X-Forwarded-For are believed */
    struct address_prefix trusted_proxies[TRUST_MAX];

    /* Plain options: one row each in options.def, whose text documents them. */
#define OPTION(path, type, field, initial, low, high, reload, help) OPTION_FIELD_##type(field)
#define OPTION_FIELD_INT(field)                                     int64_t field;
#define OPTION_FIELD_DURATION_MS(field)                             int64_t field;
#define OPTION_FIELD_SIZE(field)                                    int64_t field;
#define OPTION_FIELD_WORD(field)                                    int field;
#define OPTION_FIELD_TEXT(field)                                    const char *field;
#include "config/options.def"
#undef OPTION

    struct config_memory *memory; /* owned: all texts above */
};

/* What the file may name that this floor does not know. */
struct config_known {
    const char *const *dialects; /* NULL-terminated */
};

#define CONFIG_ERROR_MAX 512

/* Reads FILE and all that it names (policy, keyfiles; relative to the file that names them).  ST_OK with one reference;
 * ST_INVALID with "file:line:column: what, and what was expected" in error.  Control thread or start-up only: it computes
 * time zones with the C library. */
MUST_CHECK enum status config_load(const char *file, const struct config_known *known,
                                   int64_t now_s, char error[CONFIG_ERROR_MAX],
                                   struct config **out);
struct config *config_ref(struct config *config);
void config_unref(struct config **config);

/* Prints options.def as a table (for --options). */
void config_print_options(void);
/* What differs between two generations and needs a restart, as a list of paths ("listen, workers"); empty when nothing. */
void config_restart_changes(const struct config *from, const struct config *to,
                            struct text_out *out);
