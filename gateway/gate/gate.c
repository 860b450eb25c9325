/* SPDX-License-Identifier: Apache-2.0 */
/* gate.c - what a worker lends its requests.      Runs on: worker. */
#include "gate/gate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "gate/client.h"
#include "gate/request.h"

/* Of 64 KiB to 1 MiB, large answers cost least with this. */
#define BUFFER_BYTES ((size_t)512 << 10)
/* Fields that are added to a head, the path of a backend, and what the same fields take once more. */
#define ADDED_BYTES   4096
#define TRIM_EVERY_US 250000
/* What most requests keep while they wait for their image: ids, terms and a reservation of one limit.  A quarter of a block
 * holds what counts the images of the answer. */
#define REQUEST_BLOCK_BYTES 672
/* Behind the largest head there is always room to read on. */
#define SLAB_SPARE_BYTES 4096

const char *const store_op_words[STORE_OPS_LEN] = {"reserved", "refused",   "reserved_locally",
                                                   "failed",   "committed", "settled"};

/* --- the end of a turn -------------------------------------------------------------------------------------------------- */

static void run_eager(struct turn_hook *hook)
{
    struct gate *gate = container_of(hook, struct gate, eager_hook);
    struct list *node = list_pop_front(&gate->eager);

    while (node) {
        struct client *client = container_of(node, struct client, link);

        list_push_back(&gate->clients, &client->link);
        request_start(client);
        node = list_pop_front(&gate->eager);
    }
}

/* Posts a kick that is for this worker and, as far as there are slots left, for so many of those after it.  A kick that
 * is on its way already is made to reach as far. */
static void kick(struct gate *gate, int others)
{
    atomic_int *kicks = &gate->shared->kicks[gate->worker];
    int before = atomic_load(kicks);

    while (before < 1 + others) {
        if (!atomic_compare_exchange_weak(kicks, &before, 1 + others))
            continue;
        if (before == 0)
            mailbox_post(gate->mailbox, &gate->kick);
        return;
    }
}

/* Tells the first of these workers after this one that somebody waits at.  Whether those there can use the slot, only that
 * worker knows; it passes on what it cannot use. */
static void kick_next(struct gate *gate, int others)
{
    for (int i = 1; i <= others; i++) {
        struct gate *peer = gate->peers[(gate->worker + i) % gate->peers_len];

        if (atomic_load(&gate->shared->waiting_by_worker[peer->worker]) > 0) {
            kick(peer, others - i);
            return;
        }
    }
}

static void offer(struct gate *gate, int others)
{
    queue_offer(gate);
    if (others > 0 && queue_has_free_slot(gate))
        kick_next(gate, others);
}

static void run_offer(struct turn_hook *hook)
{
    struct gate *gate = container_of(hook, struct gate, offer_hook);

    offer(gate, gate->peers_len - 1);
}

static void deliver_kick(struct mail *mail)
{
    struct gate *gate = container_of(mail, struct gate, kick);

    offer(gate, atomic_exchange(&gate->shared->kicks[gate->worker], 0) - 1);
}

void gate_kick(struct gate *gate)
{
    kick(gate, 0);
}

void gate_slot_is_free(struct gate *gate, const struct backend *backend)
{
    gate->loads[backend->index].in_flight--;
    if (gate->waiting_len > 0)
        loop_at_turn_end(gate->loop, &gate->offer_hook);
    else
        kick_next(gate, gate->peers_len - 1);
}

/* --- the load ----------------------------------------------------------------------------------------------------------- */

struct load_view gate_view(const struct request *req, bool is_fresh)
{
    struct gate *gate = req->gate;
    struct backend_set *set = gate->backends;
    int32_t waiting = atomic_load(&gate->shared->waiting);

    if (is_fresh || gate->loads_turn != loop_turn(gate->loop) ||
        gate->loads_generation != req->config->generation) {
        backend_view(set, req->config, waiting, loop_now_us(gate->loop), gate->loads);
        gate->loads_turn = loop_turn(gate->loop);
        gate->loads_generation = req->config->generation;
    }
    for (int i = 0; i < set->len; i++)
        gate->loads[i].serves =
            req->operation == OPERATION_PASS || set->backends[i].dialect == req->dialect;
    return (struct load_view){
        .backends = gate->loads,
        .len = set->len,
        .waiting = waiting,
        .max_waiting = (int32_t)req->config->max_waiting,
        .is_draining = false,
    };
}

/* --- memory ------------------------------------------------------------------------------------------------------------- */

static void set_trim(struct gate *gate)
{
    timer_set(gate->loop, &gate->trim, loop_now_us(gate->loop) + TRIM_EVERY_US);
}

static void on_trim(struct timer *timer)
{
    struct gate *gate = container_of(timer, struct gate, trim);

    if (slab_pool_trim(&gate->slabs))
        set_trim(gate);
}

void gate_trim_later(struct gate *gate)
{
    if (slab_pool_is_large(&gate->slabs) && !timer_is_set(&gate->trim))
        set_trim(gate);
}

/* xorshift64*, seeded by the kernel: for ids and jitter, not for secrets. */
uint64_t gate_random(struct gate *gate)
{
    uint64_t x = gate->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    gate->random = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* --- a life ------------------------------------------------------------------------------------------------------------- */

static void set_up(struct gate *gate, const struct gate_terms *terms)
{
    gate->worker = terms->worker;
    gate->loop = terms->loop;
    gate->mailbox = terms->mailbox;
    gate->config = config_ref(terms->config);
    gate->backends = terms->backends;
    gate->shared = terms->shared;
    gate->peers = terms->peers;
    gate->peers_len = terms->peers_len;
    gate->limits = (struct http_limits){(size_t)terms->config->target_bytes,
                                        (size_t)terms->config->head_bytes};
    gate->buffer_size = BUFFER_BYTES;
    gate->scratch_size = 2 * gate->limits.head_bytes + ADDED_BYTES;
    gate->kick.deliver = deliver_kick;
    list_init(&gate->clients);
    list_init(&gate->eager);
    list_init(&gate->waiting);
    timer_init(&gate->trim, on_trim);
    turn_hook_init(&gate->eager_hook, run_eager);
    turn_hook_init(&gate->offer_hook, run_offer);
    shelf_init(&gate->requests, sizeof(struct request));
    shelf_init(&gate->blocks, REQUEST_BLOCK_BYTES);
    gate->nothing_held.refused_by = -1;
    list_init(&gate->nothing_held.live);
    share_init(&gate->no_share, 0, 0);
    gate->no_share.refused_by = -1;
    slab_pool_init(&gate->slabs, (size_t)terms->config->head_bytes + SLAB_SPARE_BYTES);
    gate->log.fd = -1;
    if (getrandom(&gate->random, sizeof(gate->random), 0) < 0 || gate->random == 0)
        gate->random = (uint64_t)loop_now_us(gate->loop);
}

static enum status open_parts(struct gate *gate, const struct gate_terms *terms)
{
    struct stats_shape shape = {OUTCOMES_LEN, gate->backends->len, STORE_OPS_LEN};
    enum status st = stats_init(&gate->stats, &shape);

    if (st == ST_OK)
        st = accesslog_open(&gate->log, gate->loop, gate->config);
    if (st == ST_OK)
        st = pool_init(&gate->pool, gate->loop, &gate->slabs, gate->backends->len, gate->config);
    if (st == ST_OK)
        st = quota_open(terms->store, gate->loop, gate->config, &gate->quota);
    if (st == ST_OK && terms->keystore)
        st = keys_open(terms->keystore, gate->loop, &gate->stats, &gate->keys);
    if (st)
        return st;
    shares_init(&gate->shares, gate->quota, &gate->stats);
    shares_configure(&gate->shares, &gate->config->policy);
    return ST_OK;
}

enum status gate_open(const struct gate_terms *terms, struct gate **out)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    enum status st = ST_NOMEM;

    if (!gate)
        return ST_NOMEM;
    set_up(gate, terms);
    gate->buffer = malloc(gate->buffer_size);
    gate->scratch = malloc(gate->scratch_size);
    gate->loads = calloc((size_t)gate->backends->len, sizeof(*gate->loads));
    gate->refusal = answer_refusal_new();
    gate->gather = client_gather_new();
    gate->tee = tee_new();
    if (gate->buffer && gate->scratch && gate->loads && gate->refusal && gate->gather)
        st = open_parts(gate, terms);
    if (st) {
        gate_end(gate);
        gate_free(&gate);
        return st;
    }
    *out = gate;
    return ST_OK;
}

void gate_end(struct gate *gate)
{
    if (!gate)
        return;
    keys_close(&gate->keys);
    if (gate->quota) {
        shares_close(&gate->shares);
        quota_close(&gate->quota);
    }
    if (gate->pool.idle)
        pool_fini(&gate->pool);
    accesslog_close(&gate->log);
    loop_run_once(gate->loop, 0); /* frees what has retired */
}

void gate_free(struct gate **where)
{
    struct gate *gate = *where;

    if (!gate)
        return;
    *where = NULL;
    pool_free(&gate->pool);
    shelf_fini(&gate->blocks);
    shelf_fini(&gate->requests);
    timer_clear(&gate->trim);
    slab_pool_fini(&gate->slabs);
    stats_fini(&gate->stats);
    free(gate->loads);
    free(gate->refusal);
    free(gate->gather);
    tee_free(&gate->tee);
    free(gate->scratch);
    free(gate->buffer);
    config_unref(&gate->config);
    free(gate);
}

void gate_configure(struct gate *gate, struct config *config, struct keystore *keystore)
{
    if (keystore && !gate->keys && keys_open(keystore, gate->loop, &gate->stats, &gate->keys))
        log_event(LOG_ERROR, "keystore_unusable", "worker=%d reason=no_memory", gate->worker);
    config_unref(&gate->config);
    gate->config = config_ref(config);
    shares_configure(&gate->shares, &config->policy);
    gate->pool.idle_us = config->upstream_idle_ms * 1000;
    loop_at_turn_end(gate->loop, &gate->offer_hook);
}

void gate_drain(struct gate *gate)
{
    LIST_EACH (node, &gate->clients)
        client_close_idle(container_of(node, struct client, link));
}

void gate_stop(struct gate *gate)
{
    while (!list_is_empty(&gate->eager)) {
        struct list *node = list_pop_front(&gate->eager);

        list_push_back(&gate->clients, node);
    }
    LIST_EACH (node, &gate->clients)
        client_stop(container_of(node, struct client, link));
}

void gate_accept(struct gate *gate, int fd, const struct address *from)
{
    stats_add(&gate->stats, STAT_ACCEPTED, 0, 1);
    if (client_open(gate, fd, from))
        log_event(LOG_WARN, "client_refused", "reason=no_memory");
}
