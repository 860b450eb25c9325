/* SPDX-License-Identifier: Apache-2.0 */
/* telemetry.c - the kinds of sources there are: one row each.      Runs on: control thread. */
#include "telemetry/telemetry.h"

#include <stdlib.h>

#include "telemetry/prometheus.h"

static const struct telemetry_ops *const ops_of_kind[] = {
    [TELEMETRY_PROMETHEUS] = &prometheus_ops,
};

static void free_source(struct retired *retired)
{
    free(container_of(retired, struct telemetry_source, retired));
}

enum status telemetry_start(struct loop *loop, const struct telemetry_conf *conf,
                            int64_t timeout_ms,
                            void (*report)(struct telemetry_source *source, enum status st,
                                           const struct load_sample *sample),
                            void *owner, struct telemetry_source **out)
{
    ASSERT(conf->kind < ARRAY_LEN(ops_of_kind) && ops_of_kind[conf->kind] != NULL);
    const struct telemetry_ops *ops = ops_of_kind[conf->kind];
    struct telemetry_source *source = calloc(1, ops->source_bytes);

    if (!source)
        return ST_NOMEM;
    source->ops = ops;
    source->loop = loop;
    source->conf = conf;
    source->timeout_ms = timeout_ms;
    source->report = report;
    source->owner = owner;
    enum status st = ops->start(source);
    if (st) {
        free(source);
        return st;
    }
    *out = source;
    return ST_OK;
}

void telemetry_stop(struct telemetry_source **source)
{
    struct telemetry_source *s = *source;

    *source = NULL;
    if (!s)
        return;
    s->ops->stop(s);
    loop_retire(s->loop, &s->retired, free_source);
}
