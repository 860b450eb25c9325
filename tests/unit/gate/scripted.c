/* SPDX-License-Identifier: Apache-2.0 */
/* scripted.c - a gate for tests. */
#include "unit/gate/scripted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect/dialect.h"
#include "quota/store.h"
#include "unit/config/fixture.h"

static const char policy[] =
    "timezone: Asia/Seoul\n"
    "tiers:\n"
    "  free:  {images: {per_day: 3}, max_images_per_request: 3}\n"
    "  plus:  {images: {per_day: 200}, priority: 1, max_wait: 30s}\n"
    "  basic: {images: {per_day: 200}, max_wait: 20s}\n"
    "  staff: {images: unlimited, priority: 1, max_wait: 30s}\n"
    "shed:\n"
    "  gpu_temperature: [{above: 80, resume_below: 76, tiers: [free, plus]}]\n"
    "unavailable_message:\n"
    "  en: image generation unavailable\n"
    "  ko: 지금은 이미지 생성을 사용할 수 없습니다\n";

static const char main_file[] =
    "listen: [{address: '127.0.0.1:8080'}]\n"
    "policies: policy.yaml\n"
    "identity:\n"
    "  - header: {account: X-Account-Id, tier: X-Account-Tier, trust: [127.0.0.0/8]}\n"
    "pass: [GET /v1/models]\n"
    "trusted_proxies: [127.0.0.0/8]\n"
    "backends:\n"
    "  - {name: gpu0, url: 'http://127.0.0.1:1/base', dialect: openai, max_in_flight: 1}\n"
    "  - {name: gpu1, url: 'http://127.0.0.1:1', dialect: openai, max_in_flight: 1}\n";

/* --- the store ---------------------------------------------------------------------------------------------------------- */

static struct scripted *at_work; /* one a test */

static void note(char what)
{
    struct scripted_store *store = &at_work->store;
    size_t len = strlen(store->order);

    cr_assert_lt(len + 1, sizeof(store->order));
    store->order[len] = what;
}

static void forget(struct op *op)
{
    UNUSED(op);
    at_work->store.pending = NULL;
    at_work->store.reserving = NULL;
}

static enum status wait_for_test(struct op *op)
{
    cr_assert_null(at_work->store.pending);
    at_work->store.pending = op;
    op->cancel = forget;
    return ST_PENDING;
}

static void hold(struct reservation *r)
{
    for (int i = 0; i < r->limits_len; i++) {
        struct reserved_limit *l = &r->limits[i];

        l->used_units = r->held_images * l->limit.image_units;
        l->reset_us = l->limit.window.end_s * 1000000;
    }
    quota_hold(at_work->store.quota, r, INT64_MAX / 2);
    at_work->store.held_images += r->held_images;
}

static void refuse(struct reservation *r)
{
    r->refused_by = 0;
    r->limits[0].used_units = r->limits[0].limit.rule.units;
    r->limits[0].reset_us = r->limits[0].limit.window.end_s * 1000000;
}

static enum status reserve(struct quota *q, struct reservation *r, struct op *op)
{
    struct scripted_store *store = &at_work->store;

    UNUSED(q);
    note('r');
    store->reserves++;
    if (store->reserve == ST_PENDING) {
        store->reserving = r;
        return wait_for_test(op);
    }
    if (store->reserve == ST_OK)
        hold(r);
    if (store->reserve == ST_LIMIT)
        refuse(r);
    return store->reserve;
}

static void settle(struct quota *q, struct reservation *r, int64_t used_images)
{
    struct scripted_store *store = &at_work->store;

    UNUSED(q);
    note('s');
    store->settles++;
    store->held_images -= r->held_images;
    (void)reservation_settle(r, used_images);
    store->used_images += r->used_images;
}

static enum status commit(struct quota *q, struct reservation *r, int64_t used_images,
                          struct op *op)
{
    struct scripted_store *store = &at_work->store;

    note('c');
    store->commits++;
    if (store->loses_holds) {
        list_remove(&r->live);
        store->held_images -= r->held_images;
        refuse(r);
        r->state = RESERVATION_NONE;
        return store->commit == ST_PENDING ? wait_for_test(op) : store->commit;
    }
    if (r->state == RESERVATION_HELD)
        reservation_commit(r);
    if (used_images >= 0)
        settle(q, r, used_images);
    return store->commit == ST_PENDING ? wait_for_test(op) : store->commit;
}

static void renew(struct quota *q, struct reservation *r)
{
    UNUSED(q);
    UNUSED(r);
}

static void quota_end(struct quota *q)
{
    timer_clear(&q->renewals);
    free(q);
}

static enum status inspect(struct quota *q, struct reservation *r, struct op *op)
{
    UNUSED(q);
    UNUSED(r);
    UNUSED(op);
    return ST_UNAVAILABLE;
}

static enum status amend(struct quota *q, struct reservation *r, const struct quota_change *change,
                         struct op *op)
{
    UNUSED(change);
    return inspect(q, r, op);
}

static void adopt(struct quota *q, struct reservation *r)
{
    UNUSED(q);
    UNUSED(r);
    cr_assert(false, "nobody counts locally");
}

static void post(struct quota *q, const struct quota_note *note)
{
    UNUSED(q);
    UNUSED(note);
}

static enum status read_board(struct quota *q, struct quota_reading *reading, struct op *op)
{
    UNUSED(q);
    UNUSED(reading);
    UNUSED(op);
    return ST_OK;
}

/* As much as is wanted, as far as the limit goes. */
static enum status claim(struct quota *q, struct quota_claim *claim, struct op *op)
{
    struct scripted_store *store = &at_work->store;

    UNUSED(q);
    note('l');
    if (store->claim == ST_PENDING)
        return wait_for_test(op);
    if (store->claim != ST_OK)
        return store->claim;
    claim->got_units = service_grant(claim->rule.units, store->leased_units, claim->held_units,
                                     claim->need_units, claim->want_units);
    store->leased_units += claim->got_units - claim->held_units;
    claim->leased_units = store->leased_units;
    return ST_OK;
}

static const struct quota_ops quota_ops = {
    .name = "scripted",
    .reserve = reserve,
    .commit = commit,
    .settle = settle,
    .inspect = inspect,
    .amend = amend,
    .adopt = adopt,
    .claim = claim,
    .renew = renew,
    .post = post,
    .read_board = read_board,
    .close = quota_end,
};

static enum status open_quota(struct quota_store *store, struct loop *loop,
                              const struct config *config, struct quota **out)
{
    *out = calloc(1, sizeof(**out));
    cr_assert_not_null(*out);
    quota_init(*out, &quota_ops, store, loop, config->lease_ms * 1000);
    if (!at_work->store.quota)
        at_work->store.quota = *out;
    return ST_OK;
}

static bool is_up(const struct quota_store *store)
{
    UNUSED(store);
    return true;
}

static void store_close(struct quota_store *store)
{
    UNUSED(store);
}

static const struct quota_store_ops store_ops = {"scripted", open_quota, is_up, store_close};
static struct quota_store store_base = {.ops = &store_ops};

void scripted_store_done(struct scripted *s, enum status st)
{
    struct op *op = s->store.pending;
    struct reservation *r = s->store.reserving;

    cr_assert_not_null(op);
    s->store.pending = NULL;
    s->store.reserving = NULL;
    if (r && st == ST_OK)
        hold(r);
    if (r && st == ST_LIMIT)
        refuse(r);
    op_done(op, st);
    loop_run_once(s->loop, 0);
}

/* --- the gate ----------------------------------------------------------------------------------------------------------- */

static void load(struct scripted *s, const char *more)
{
    char text[4096];

    fixture_open();
    fixture_write("policy.yaml", policy);
    snprintf(text, sizeof(text), "%s%s", main_file, more);
    if (!strstr(more, "log:"))
        strcat(text, "log: {access: 'off'}\n");
    s->config = fixture_load_ok(text);
    s->config->generation = 1;
}

void scripted_open(struct scripted *s, const char *more)
{
    char error[CONFIG_ERROR_MAX];

    memset(s, 0, sizeof(*s));
    at_work = s;
    load(s, more);
    cr_assert_eq(loop_new(&s->loop), ST_OK);
    cr_assert_eq(backend_set_open(s->config, error, &s->backends), ST_OK);
    for (int i = 0; i < s->backends->len; i++)
        s->backends->backends[i].dialect = dialect_find(TEXT("openai"));
    for (int i = 0; i < SCRIPTED_WORKERS; i++) {
        cr_assert_eq(mailbox_new(s->loop, &s->mailboxes[i]), ST_OK);
        struct gate_terms terms = {
            .worker = i,
            .loop = s->loop,
            .mailbox = s->mailboxes[i],
            .config = s->config,
            .backends = s->backends,
            .shared = &s->shared,
            .store = &store_base,
            .peers = s->gates,
            .peers_len = SCRIPTED_WORKERS,
        };
        cr_assert_eq(gate_open(&terms, &s->gates[i]), ST_OK);
    }
    s->gate = s->gates[0];
    cr_assert_eq(address_parse(TEXT("127.0.0.1:4711"), &s->peer), ST_OK);
}

static void check_idle(struct scripted *s, struct gate *gate)
{
    ASSERT(gate->waiting_len == 0);
    ASSERT(list_is_empty(&gate->waiting));
    ASSERT(list_is_empty(&gate->eager));
    ASSERT(atomic_load(&s->shared.waiting_by_worker[gate->worker]) == 0);
    LIST_EACH (node, &gate->clients) {
        struct client *c = container_of(node, struct client, link);

        ASSERT(!c->req);
        ASSERT(!c->slab);
        ASSERT(!c->op);
    }
    for (int i = 0; i < s->backends->len; i++)
        LIST_EACH (node, &gate->pool.idle[i])
            ASSERT(!container_of(node, struct upstream, link)->slab);
}

static void check_lent(const struct gate *gate)
{
    ASSERT(gate->slabs.lent == 0 && gate->slabs.parsers.lent == 0);
    ASSERT(gate->requests.lent == 0 && gate->blocks.lent == 0 && gate->pool.upstreams.lent == 0);
}

void scripted_close(struct scripted *s)
{
    scripted_turns(s, 3);
    ASSERT(!s->store.pending);
    ASSERT(s->store.held_images == 0);
    ASSERT(shared_requests(&s->shared) == 0);
    ASSERT(atomic_load(&s->shared.waiting) == 0);
    for (int i = 0; i < s->backends->len; i++)
        ASSERT(atomic_load(&s->backends->backends[i].now.in_flight) == 0);
    for (int i = 0; i < SCRIPTED_WORKERS; i++)
        check_idle(s, s->gates[i]);
    for (int i = 0; i < SCRIPTED_WORKERS; i++) {
        gate_stop(s->gates[i]);
        mailbox_free(&s->mailboxes[i]);
        gate_end(s->gates[i]);
    }
    ASSERT(atomic_load(&s->shared.connections) == 0);
    for (int i = 0; i < SCRIPTED_WORKERS; i++)
        check_lent(s->gates[i]);
    for (int i = 0; i < SCRIPTED_WORKERS; i++)
        gate_free(&s->gates[i]);
    for (int i = 0; i < s->far_len; i++) {
        stream_close(&s->far_ends[i].stream);
        free(s->far_ends[i].got);
    }
    loop_free(&s->loop);
    backend_set_close(&s->backends);
    config_unref(&s->config);
    fixture_close();
}

void scripted_turns(struct scripted *s, int turns)
{
    for (int i = 0; i < turns; i++)
        loop_run_once(s->loop, 0);
}

static struct far_end *next_far(struct scripted *s)
{
    struct far_end *far = &s->far_ends[s->far_len++];

    cr_assert_leq(s->far_len, (int)ARRAY_LEN(s->far_ends));
    far->got = calloc(1, SCRIPTED_BYTES + 1);
    cr_assert_not_null(far->got);
    return far;
}

struct client *scripted_client_at(struct scripted *s, struct gate *gate, size_t capacity,
                                  struct far_end **out)
{
    struct client *c = client_new(gate, &s->peer);

    cr_assert_not_null(c);
    *out = next_far(s);
    cr_assert_eq(stream_pair(&c->stream, &(*out)->stream, s->loop, capacity), ST_OK);
    client_begin(c);
    return c;
}

struct client *scripted_client(struct scripted *s, size_t capacity, struct far_end **out)
{
    return scripted_client_at(s, s->gate, capacity, out);
}

struct upstream *scripted_upstream(struct scripted *s, int backend, size_t capacity,
                                   struct far_end **out)
{
    struct upstream *u = upstream_new(&s->gate->pool, &s->backends->backends[backend]);

    cr_assert_not_null(u);
    *out = next_far(s);
    cr_assert_eq(stream_pair(&u->stream, &(*out)->stream, s->loop, capacity), ST_OK);
    pool_keep(&s->gate->pool, u);
    return u;
}

/* --- the far ends ------------------------------------------------------------------------------------------------------- */

size_t far_push(struct far_end *far, const void *bytes, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    size_t sent = 0;
    enum status st = stream_write(&far->stream, &iov, 1, &sent);

    return st == ST_OK ? sent : 0;
}

void far_say_bytes(struct far_end *far, const void *bytes, size_t len)
{
    cr_assert_eq(far_push(far, bytes, len), len);
}

void far_say(struct far_end *far, const char *text)
{
    far_say_bytes(far, text, strlen(text));
}

size_t far_sip(struct far_end *far, size_t len)
{
    size_t got = 0;
    enum status st;

    cr_assert_leq(far->len + len, SCRIPTED_BYTES);
    st = stream_read(&far->stream, far->got + far->len, len, &got);
    far->has_fin = far->has_fin || st == ST_CLOSED;
    far->is_broken = far->is_broken || st == ST_UNAVAILABLE;
    if (st != ST_OK)
        return 0;
    far->len += got;
    far->got[far->len] = '\0';
    return got;
}

const char *far_read(struct far_end *far)
{
    while (far->len < SCRIPTED_BYTES && far_sip(far, SCRIPTED_BYTES - far->len) > 0)
        continue;
    return far->got;
}

const char *far_read_anew(struct far_end *far)
{
    far->len = 0;
    far->got[0] = '\0';
    return far_read(far);
}

bool far_has(struct far_end *far, const char *text)
{
    (void)far_read(far);
    return memmem(far->got, far->len, text, strlen(text)) != NULL;
}

int scripted_count(const char *text, const char *what)
{
    int found = 0;

    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        found++;
    return found;
}

/* --- messages ----------------------------------------------------------------------------------------------------------- */

const char *scripted_job(const char *tier, int images)
{
    static char job[512];
    char body[64];

    snprintf(body, sizeof(body), "{\"prompt\":\"a cat\",\"n\":%d}", images);
    snprintf(
        job, sizeof(job),
        "POST /v1/images/generations HTTP/1.1\r\nHost: h\r\nX-Account-Id: alice\r\n"
        "X-Account-Tier: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        tier, strlen(body), body);
    return job;
}

const char *scripted_answer(int images)
{
    static char answer[1024];
    char body[512] = "{\"data\":[";

    for (int i = 0; i < images; i++)
        strcat(body, i ? ",{\"b64_json\":\"AAAA\"}" : "{\"b64_json\":\"AAAA\"}");
    strcat(body, "]}");
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    return answer;
}

uint64_t scripted_outcomes(const struct scripted *s, enum outcome outcome)
{
    uint64_t count = 0;

    for (int tier = 0; tier < STAT_TIERS_MAX; tier++)
        count += stats_value(&s->gate->stats, STAT_REQUESTS, tier * OUTCOMES_LEN + (int)outcome);
    return count;
}
