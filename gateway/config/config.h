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

/* How a Redis is run: one server; a master that sentinels name; a Cluster, found by any of its nodes. */
enum store_topology { TOPOLOGY_NONE, TOPOLOGY_SINGLE, TOPOLOGY_SENTINEL, TOPOLOGY_CLUSTER };

#define STORE_HOSTS_MAX 16

struct store_host {
    const char *name; /* IPv6 without brackets */
    int port;
};

struct store_url {
    enum store_kind kind;
    const char *path; /* embedded: folder; redis+unix: socket; else NULL */
    enum store_topology topology;
    bool is_tls;
    int hosts_len; /* SINGLE: 1, or 0 with a socket */
    struct store_host hosts[STORE_HOSTS_MAX];
    const char *master;   /* SENTINEL: what its master is called; else NULL */
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    int db;
};

enum identity_kind {
    IDENTITY_NONE,
    IDENTITY_KEYFILE,
    IDENTITY_KEYSTORE,
    IDENTITY_HEADER,
    IDENTITY_BEARER,
    IDENTITY_ADDRESS
};

/* One key of an accounts file. */
struct key_entry {
    unsigned char sha256[32];
    const char *account;
    int tier;
    int team;                /* -1: none */
    const struct zone *zone; /* of its calendar windows; NULL: the policy's */
};

#define KEYSTORE_ZONES_MAX 32

/* Keys kept in Redis. */
struct keystore_conf {
    struct store_url url;
    int64_t cache; /* keys that a worker remembers; of those that nobody knows, a quarter as many */
    int64_t
        fresh_ms; /* a known key is used for so long without asking anew, unless it was revoked */
    int64_t unknown_ms; /* a key that nobody knew is refused for so long without asking anew */
    int64_t stale_ms;   /* a known key is used for so long while Redis is down */
    int zones_len;
    struct keystore_zone {
        const char *name;
        const struct zone *zone;
    } zones[KEYSTORE_ZONES_MAX]; /* that accounts may have; other than the policy's */
};

struct identity_source {
    enum identity_kind kind;
    /* keyfile */
    const char *keyfile;
    int keys_len;
    struct key_entry *keys; /* owned; ascending by sha256, no two alike */
    /* keystore */
    const struct keystore_conf *keystore; /* owned by the generation */
    /* header */
    const char *account_header;
    const char *tier_header; /* NULL: tier counts for all; else where it is not sent */
    const char *team_header; /* NULL: no teams; where it is not sent, the account is in none */
    int trust_len;
    struct address_prefix trust[TRUST_MAX];
    int tier; /* bearer, address, header; -1: header without a default_tier */
    /* address */
    int prefix_v4, prefix_v6;
};

struct http_url {
    const char *host_port; /* "127.0.0.1:9001": to resolve, and for Host */
    const char *path;      /* "/metrics"; of a backend "" when the URL has none */
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

/* The values of WORD options; telemetry.when_stale is enum load_when_stale, log.level is enum log_level. */
enum commit_kind { COMMIT_NONE, COMMIT_SENT, COMMIT_ACKNOWLEDGED };
enum access_format { ACCESS_FORMAT_NONE, ACCESS_FORMAT_JSON, ACCESS_FORMAT_TEXT };

struct config {
    atomic_int refs;
    int generation;
    const char *file;

    int listen_len;
    bool has_admin;        /* an address for it */
    bool has_admin_socket; /* a Unix socket for it */
    struct address listen[LISTEN_MAX];
    struct address admin;
    struct address admin_socket;
    const char *admin_token; /* NULL: none */
    struct store_url store;
    int identity_len;
    struct identity_source identity[IDENTITY_SOURCES_MAX];
    struct policy policy;
    int backends_len;
    struct backend_conf *backends; /* owned */
    int pass_len;
    int trusted_proxies_len;
    struct pass_rule pass[PASS_MAX];
    struct address_prefix
        trusted_proxies[TRUST_MAX]; /* whose Forwarded and X-Forwarded-For are believed */

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
/* The same for a document in memory: file is only its name, in errors and for what it names. */
MUST_CHECK enum status config_load_text(const char *file, struct text document,
                                        const struct config_known *known, int64_t now_s,
                                        char error[CONFIG_ERROR_MAX], struct config **out);
/* The keystore among its sources; NULL: none. */
const struct keystore_conf *config_keystore(const struct config *config);
struct config *config_ref(struct config *config);
void config_unref(struct config **config);

/* Where the texts of a generation live; for those that load a policy alone. */
struct config_memory *config_memory_new(void); /* NULL: no memory */
void config_memory_free(struct config_memory **memory);
/* Reads one policy file alone, as config_load does; what out points to lives in memory. */
MUST_CHECK enum status policy_load(const char *file, int64_t now_s, struct config_memory *memory,
                                   char error[CONFIG_ERROR_MAX], struct policy *out);

/* The names behind tier.stats_index: one registry a process, which only grows.  Control thread only. */
#define TIER_NAMES_MAX 64
int config_tier_count(void);
const char *config_tier_name(int stats_index); /* 0 <= stats_index < config_tier_count() */

/* Prints options.def as a table (for --options). */
void config_print_options(void);
/* What differs between two generations and needs a restart, as a list of paths ("listen, workers"); empty when nothing. */
void config_restart_changes(const struct config *from, const struct config *to,
                            struct text_out *out);
