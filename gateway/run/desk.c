/* SPDX-License-Identifier: Apache-2.0 */
/* desk.c - what the admin API needs of the process, put together. */
#include "run/desk.h"

#include <stdlib.h>

#include "admin/api.h"
#include "admin/keys.h"
#include "admin/service.h"
#include "admin/top.h"
#include "base/log.h"
#include "run/worker.h"

struct desk {
    struct desk_terms terms;
    struct mailbox *boxes[WORKERS_MAX];
    struct top *top;           /* owned */
    struct quota *quota;       /* owned: this thread's door */
    struct board *board;       /* owned */
    struct api *api;           /* owned */
    struct keys *keys;         /* owned: likewise; NULL: there is no keystore */
    struct keys_api *keys_api; /* owned */
    struct service *service;   /* owned */
    struct admin *admin;       /* owned; NULL: nowhere to listen */
};

static void log_listening(const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, text, sizeof(text));
    address_print(address, &out);
    log_event(LOG_NOTE, "admin_listening", "address=%s", text);
}

static enum status listen_all(struct desk *desk)
{
    const struct config *config = desk->terms.config;
    struct admin_terms terms = {
        .loop = desk->terms.loop,
        .tables_len = 4,
        .tables = {desk->terms.own,
                   {api_routes, desk->api},
                   {keys_routes, desk->keys_api},
                   {service_routes, desk->service}},
        .token = config->admin_token,
    };
    enum status st = ST_OK;

    if (config->has_admin)
        terms.places[terms.places_len++] = &config->admin;
    if (config->has_admin_socket)
        terms.places[terms.places_len++] = &config->admin_socket;
    if (terms.places_len == 0)
        return ST_OK;
    for (int i = 0; i < terms.places_len && st == ST_OK; i++)
        st = listener_check_free(terms.places[i]);
    if (st == ST_OK)
        st = admin_open(&terms, &desk->admin);
    for (int i = 0; i < terms.places_len && st == ST_OK; i++)
        log_listening(admin_address(desk->admin, i));
    return st;
}

/* One that is new is opened; one that is there stays. */
static enum status open_keys(struct desk *desk, const struct config *config,
                             struct keystore *keystore)
{
    enum status st = ST_OK;

    if (keystore && !desk->keys)
        st = keys_open(keystore, desk->terms.loop, NULL, &desk->keys);
    keys_api_configure(desk->keys_api, config, desk->keys);
    return st;
}

static enum status open_service(struct desk *desk)
{
    struct service_terms terms = {
        .quota = desk->quota,
        .config = desk->terms.config,
        .gates_len = desk->terms.workers_len,
    };

    for (int i = 0; i < terms.gates_len; i++)
        terms.gates[i] = desk->terms.workers[i].gate;
    return service_open(&terms, &desk->service);
}

static enum status open_parts(struct desk *desk)
{
    const struct desk_terms *terms = &desk->terms;
    enum status st = top_open(terms->loop, desk->boxes, terms->workers_len, &desk->top);

    if (st == ST_OK)
        st = quota_open(terms->store, terms->loop, terms->config, &desk->quota);
    struct board_terms board = {
        .loop = terms->loop,
        .quota = desk->quota,
        .top = desk->top,
        .config = terms->config,
    };
    if (st == ST_OK)
        st = board_open(&board, &desk->board);
    if (st)
        return st;
    struct api_terms api = {
        .loop = terms->loop,
        .quota = desk->quota,
        .top = desk->top,
        .board = desk->board,
        .config = terms->config,
    };
    st = api_open(&api, &desk->api);
    if (st == ST_OK)
        st = keys_api_open(terms->loop, &desk->keys_api);
    if (st == ST_OK)
        st = open_keys(desk, terms->config, terms->keystore);
    if (st == ST_OK)
        st = open_service(desk);
    return st ? st : listen_all(desk);
}

enum status desk_open(const struct desk_terms *terms, struct desk **out)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    enum status st;

    if (!desk)
        return ST_NOMEM;
    desk->terms = *terms;
    for (int i = 0; i < terms->workers_len; i++)
        desk->boxes[i] = terms->workers[i].mailbox;
    st = open_parts(desk);
    if (st) {
        desk_close(desk);
        desk_free(&desk);
        return st;
    }
    *out = desk;
    return ST_OK;
}

void desk_configure(struct desk *desk, struct config *config, struct keystore *keystore)
{
    desk->terms.config = config;
    api_configure(desk->api, config);
    board_configure(desk->board, config);
    if (open_keys(desk, config, keystore))
        log_event(LOG_ERROR, "keystore_unusable", "worker=admin reason=no_memory");
    service_configure(desk->service, config);
    if (desk->admin)
        admin_set_token(desk->admin, config->admin_token);
}

void desk_charged(void *owner, int worker, const struct account *account, int generation,
                  int64_t images, int64_t day)
{
    struct desk *desk = owner;

    top_add(desk->top, worker, account, generation, images, day);
}

void desk_close(struct desk *desk)
{
    if (!desk)
        return;
    admin_close(&desk->admin);
    api_close(&desk->api);
    board_close(&desk->board);
    keys_api_close(&desk->keys_api);
    keys_close(&desk->keys);
    service_close(&desk->service);
    if (desk->quota)
        quota_close(&desk->quota);
}

void desk_free(struct desk **where)
{
    struct desk *desk = *where;

    if (!desk)
        return;
    *where = NULL;
    top_close(&desk->top);
    free(desk);
}
