/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h - the backends of this gateway: what they are, how they are, and their slots.  Process lifetime; shared by
 * all threads, which change only what is in shared_backend. */
#pragma once

#include "base/shared.h"
#include "config/config.h"
#include "core/load.h"

struct dialect;

struct backend {
    int index;
    const char *name; /* owned by the config that the process started with, as all texts here */
    const char *host_port; /* for the Host field */
    const char *path;      /* prefix of every path */
    const char *probe_path;
    const struct dialect *dialect;
    struct address address;
    int max_in_flight;
    bool is_metered;          /* some telemetry is configured for it */
    int64_t awaited_since_us; /* when its telemetry was started */
    struct shared_backend now;
};

struct backend_set {
    struct config *config; /* counted: the one that the process started with */
    int len;
    struct backend *backends; /* owned */
};

/* Resolves the names.  ST_OK, or ST_UNAVAILABLE with "name: what" in error.  Blocks: start-up only. */
MUST_CHECK enum status backend_set_open(struct config *config, char error[CONFIG_ERROR_MAX],
                                        struct backend_set **out);
void backend_set_close(struct backend_set **set);

/* Takes one of its slots; false: none is free.  One compare-and-swap; any thread. */
bool slot_take(struct backend *backend);
void slot_give(struct backend *backend);

/* A request reached it and was answered, whatever the answer. */
void backend_succeeded(struct backend *backend);
/* It could not be connected to, was lost, or answered 5xx.  True when that was one failure too many and took it out. */
bool backend_failed(struct backend *backend, int eject_after);

/* Publishes a reading.  Control thread. */
void backend_report(struct backend *backend, const struct load_sample *sample);

/* The load as it is now: fills loads[set->len], and judges the ladder of this config with its hysteresis. */
void backend_view(struct backend_set *set, const struct config *config, int32_t waiting,
                  int64_t now_us, struct backend_load *loads);
