/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c - from asks of operators to the keystore, and back.      Runs on: control thread.
 * A new key is told in one answer, and nowhere else. */
#include "admin/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/keys_ask.h"
#include "identity/key_words.h"

struct keys_api {
    struct loop *loop;
    const struct config *config; /* lent until the next keys_api_configure() */
    struct keys *keys;           /* likewise */
    int asks;                    /* under way */
};

/* One ask on its way. */
struct keys_ask {
    struct keys_api *api;
    struct op *op; /* the visitor's */
    struct op wait;
    struct admin_answer *out;
    struct key_answer answer;
    char key[KEY_WORD_MAX];
    void (*print)(struct keys_ask *ask);
};

/* --- the life of an ask ------------------------------------------------------------------------------------------------- */

static void ask_free(struct keys_ask *ask)
{
    ask->api->asks--;
    explicit_bzero(ask->key, sizeof(ask->key));
    key_answer_free(&ask->answer);
    free(ask);
}

static void on_cancel(struct op *op)
{
    struct keys_ask *ask = op->callee;

    op_cancel(&ask->wait);
    ask_free(ask);
}

static enum status answer_error(struct admin_answer *out, int status, const char *why)
{
    api_answer_error(out, status, why);
    return ST_OK;
}

static enum status answer_refused(struct keys_ask *ask)
{
    const struct key_record *there = &ask->answer.rows[0].record;
    char why[API_WHY_MAX];

    snprintf(why, sizeof(why),
             "%s has keys already, with another team or time zone (team %s, time zone %s); revoke "
             "them first, or leave both out",
             there->account, *there->team ? there->team : "none",
             *there->zone ? there->zone : "the policy's");
    return answer_error(ask->out, 409, why);
}

static enum status answer_ended(struct keys_ask *ask, enum status st)
{
    switch (st) {
    case ST_OK:
        ask->print(ask);
        return ST_OK;
    case ST_REFUSED:
        return answer_refused(ask);
    case ST_CLOSED:
        return answer_error(ask->out, 404, "no such key");
    case ST_LIMIT:
        return answer_error(ask->out, 409, "several keys begin so; give more digits");
    case ST_NOMEM:
        return st;
    case ST_PENDING:
    case ST_TIMEOUT:
    case ST_INVALID:
    case ST_UNAVAILABLE:
        break;
    }
    return answer_error(ask->out, 503,
                        "the keystore did not answer: it may have been done, and may be asked for "
                        "again");
}

static void on_ended(struct op *op, enum status st)
{
    struct keys_ask *ask = container_of(op, struct keys_ask, wait);
    struct op *visitor = ask->op;

    st = answer_ended(ask, st);
    ask_free(ask);
    op_done(visitor, st);
}

static enum status answer_no_keystore(struct admin_answer *out)
{
    return answer_error(
        out, 404,
        "this gateway has no keystore: its configuration names no identity source "
        "keystore (keys of a keyfile are changed by meltctl key ... --keyfile FILE)");
}

/* NULL: no memory. */
static struct keys_ask *ask_new(struct keys_api *api, struct admin_answer *out,
                                void (*print)(struct keys_ask *ask))
{
    struct keys_ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return NULL;
    ask->api = api;
    ask->out = out;
    ask->print = print;
    ask->wait.done = on_ended;
    api->asks++;
    return ask;
}

/* The wait goes on, or is over at once. */
static enum status ask_await(struct keys_ask *ask, struct op *op, enum status st)
{
    if (st != ST_PENDING) {
        st = answer_ended(ask, st);
        ask_free(ask);
        return st;
    }
    ask->op = op;
    op->cancel = on_cancel;
    op->callee = ask;
    return ST_PENDING;
}

/* --- add ---------------------------------------------------------------------------------------------------------------- */

static void print_added(struct keys_ask *ask)
{
    keys_print_added(ask->out, &ask->answer, *ask->key ? ask->key : NULL);
}

static void set_created(const struct keys_api *api, struct key_record *record)
{
    time_t now_s = (time_t)(loop_wall_us(api->loop) / 1000000);
    struct tm tm;

    if (!gmtime_r(&now_s, &tm) ||
        strftime(record->created, sizeof(record->created), "%Y-%m-%d", &tm) == 0)
        record->created[0] = '\0';
}

static enum status answer_add(void *owner, const struct admin_ask *asked, struct admin_answer *out,
                              struct op *op)
{
    struct keys_api *api = owner;
    struct keys_body body;
    char why[API_WHY_MAX];

    if (!api->keys)
        return answer_no_keystore(out);
    if (keys_read_body(asked->body, api->config, &body, why))
        return answer_error(out, 400, why);

    struct keys_ask *ask = ask_new(api, out, print_added);

    if (!ask)
        return ST_NOMEM;
    set_created(api, &body.record);
    if (!body.has_sha256) {
        key_word_new(ask->key);
        key_word_sha256(text_of(ask->key), body.sha256);
    }
    return ask_await(ask, op,
                     key_task_add(api->keys, body.sha256, &body.record, &ask->answer, &ask->wait));
}

/* --- list --------------------------------------------------------------------------------------------------------------- */

static void print_list(struct keys_ask *ask)
{
    keys_print_list(ask->out, &ask->answer);
}

static enum status answer_list(void *owner, const struct admin_ask *asked, struct admin_answer *out,
                               struct op *op)
{
    struct keys_api *api = owner;
    struct keys_query query;
    char why[API_WHY_MAX];

    if (!api->keys)
        return answer_no_keystore(out);
    if (keys_read_query(asked->query, &query, why))
        return answer_error(out, 400, why);

    struct keys_ask *ask = ask_new(api, out, print_list);
    struct key_list_terms terms = {query.account, query.cursor, query.n};

    if (!ask)
        return ST_NOMEM;
    return ask_await(ask, op, key_task_list(api->keys, &terms, &ask->answer, &ask->wait));
}

/* --- revoke ------------------------------------------------------------------------------------------------------------- */

static void print_revoked(struct keys_ask *ask)
{
    keys_print_revoked(ask->out, &ask->answer);
}

/* 16 to 64 hex digits, in lower case. */
static bool read_digits(struct text id, char out[KEY_CURSOR_MAX + 1])
{
    if (id.len < KEY_ID_DIGITS || !key_record_keep(out, KEY_CURSOR_MAX, id))
        return false;
    for (char *c = out; *c; c++)
        if (*c >= 'A' && *c <= 'F')
            *c = (char)(*c - 'A' + 'a');
    return strspn(out, "0123456789abcdef") == id.len;
}

static enum status answer_revoke(void *owner, const struct admin_ask *asked,
                                 struct admin_answer *out, struct op *op)
{
    struct keys_api *api = owner;
    char digits[KEY_CURSOR_MAX + 1];

    if (!api->keys)
        return answer_no_keystore(out);
    if (!read_digits(asked->param, digits))
        return answer_error(out, 400, "an id is 16 to 64 hex digits of the key's SHA-256");

    struct keys_ask *ask = ask_new(api, out, print_revoked);

    if (!ask)
        return ST_NOMEM;
    return ask_await(ask, op, key_task_revoke(api->keys, digits, &ask->answer, &ask->wait));
}

static enum status answer_revoke_account(void *owner, const struct admin_ask *asked,
                                         struct admin_answer *out, struct op *op)
{
    struct keys_api *api = owner;
    struct keys_query query;
    char why[API_WHY_MAX];

    if (!api->keys)
        return answer_no_keystore(out);
    if (keys_read_query(asked->query, &query, why))
        return answer_error(out, 400, why);
    if (!*query.account)
        return answer_error(out, 400,
                            "account is missing in the query: all keys are never revoked");

    struct keys_ask *ask = ask_new(api, out, print_revoked);

    if (!ask)
        return ST_NOMEM;
    return ask_await(ask, op,
                     key_task_revoke_account(api->keys, query.account, &ask->answer, &ask->wait));
}

const struct admin_route keys_routes[] = {
    {"/v1/keys", answer_add, METHOD_POST, ACCESS_CHANGE},
    {"/v1/keys", answer_list, METHOD_GET, ACCESS_READ},
    {"/v1/keys", answer_revoke_account, METHOD_DELETE, ACCESS_CHANGE},
    {"/v1/keys/*", answer_revoke, METHOD_DELETE, ACCESS_CHANGE},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};

enum status keys_api_open(struct loop *loop, struct keys_api **out)
{
    struct keys_api *api = calloc(1, sizeof(*api));

    if (!api)
        return ST_NOMEM;
    api->loop = loop;
    *out = api;
    return ST_OK;
}

void keys_api_configure(struct keys_api *api, const struct config *config, struct keys *keys)
{
    api->config = config;
    api->keys = config_keystore(config) ? keys : NULL;
}

void keys_api_close(struct keys_api **where)
{
    struct keys_api *api = *where;

    if (!api)
        return;
    *where = NULL;
    ASSERT(api->asks == 0);
    free(api);
}
