/* SPDX-License-Identifier: Apache-2.0 */
/* keys_ask.c - bodies, queries and answers about keys.      Runs on: control thread.  Pure. */
#include "admin/keys_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/value.h"

#define N_DEFAULT 100
#define N_MOST    1000
/* More than a key takes as JSON, each character of its texts escaped. */
#define ROW_BYTES 1536

/* --- bodies ------------------------------------------------------------------------------------------------------------- */

struct reading {
    struct keys_body *body;
    const struct config *config;
    char *why;
    char key[API_NAME_MAX + 1];
};

static bool read_account(struct reading *r, struct text value)
{
    return value_is_visible(value) &&
           key_record_keep(r->body->record.account, ACCOUNT_ID_MAX, value);
}

static bool read_tier(struct reading *r, struct text value)
{
    return policy_tier(&r->config->policy, value) >= 0 &&
           key_record_keep(r->body->record.tier, KEY_NAME_MAX, value);
}

static bool read_team(struct reading *r, struct text value)
{
    return policy_team(&r->config->policy, value) >= 0 &&
           key_record_keep(r->body->record.team, KEY_NAME_MAX, value);
}

static bool read_zone(struct reading *r, struct text value)
{
    const struct keystore_conf *conf = config_keystore(r->config);

    for (int i = 0; i < conf->zones_len; i++)
        if (text_equal(value, text_of(conf->zones[i].name)))
            return key_record_keep(r->body->record.zone, KEY_NAME_MAX, value);
    return false;
}

static bool read_label(struct reading *r, struct text value)
{
    return value_is_line(value) && key_record_keep(r->body->record.label, KEY_LABEL_MAX, value);
}

static bool read_sha256(struct reading *r, struct text value)
{
    r->body->has_sha256 = true;
    return value.len == KEY_CURSOR_MAX &&
           text_unhex(value, r->body->sha256, KEY_SHA256_LEN) == ST_OK;
}

static const struct field {
    const char *name;
    bool (*read)(struct reading *r, struct text value);
    const char *expected;
} fields[] = {
    {"account", read_account, "1 to 128 visible ASCII characters"},
    {"tier", read_tier, "the name of a tier of the policy"},
    {"team", read_team, "the name of a team of the policy"},
    {"timezone", read_zone, "one of the keystore's zones (see zones in the configuration)"},
    {"label", read_label, "a line of up to 64 bytes"},
    {"sha256", read_sha256, "64 hex digits"},
};

static bool read_value(struct reading *r, enum json_kind kind, struct text value)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(r->key, fields[i].name) != 0)
            continue;
        if (kind == JSON_NULL || (kind == JSON_STRING && fields[i].read(r, value)))
            return true;
        snprintf(r->why, API_WHY_MAX, "wrong value for %s, expected %s", r->key,
                 fields[i].expected);
        return false;
    }
    snprintf(r->why, API_WHY_MAX,
             "unknown key, expected account, tier, team, timezone, label or sha256");
    return false;
}

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct reading *r = owner;

    if (depth == 0) {
        if (kind == JSON_OBJECT_BEGIN || kind == JSON_OBJECT_END)
            return true;
        snprintf(r->why, API_WHY_MAX, "the body is not a JSON object");
        return false;
    }
    if (kind != JSON_KEY)
        return read_value(r, kind, text);
    if (!value_is_line(text) || !key_record_keep(r->key, API_NAME_MAX, text))
        r->key[0] = '\0';
    return true;
}

enum status keys_read_body(struct text body, const struct config *config, struct keys_body *out,
                           char why[API_WHY_MAX])
{
    struct reading r = {.body = out, .config = config, .why = why};

    *out = (struct keys_body){.has_sha256 = false};
    why[0] = '\0';
    if (json_parse(body, on_token, &r, NULL)) {
        if (!why[0])
            snprintf(why, API_WHY_MAX, "the body is not JSON");
        return ST_INVALID;
    }
    if (*out->record.account && *out->record.tier)
        return ST_OK;
    snprintf(why, API_WHY_MAX, "account or tier is missing");
    return ST_INVALID;
}

/* --- queries ------------------------------------------------------------------------------------------------------------ */

/* "" where it is not there. */
static enum status read_part(struct text query, struct text name, char *into, size_t max)
{
    char buf[ACCOUNT_ID_MAX];
    struct text value;
    enum status st = route_query(query, name, buf, sizeof(buf), &value);

    into[0] = '\0';
    if (st)
        return st == ST_CLOSED ? ST_OK : st;
    return value.len > 0 && value_is_visible(value) && key_record_keep(into, max, value)
               ? ST_OK
               : ST_INVALID;
}

enum status keys_read_query(struct text query, struct keys_query *out, char why[API_WHY_MAX])
{
    char count[8];
    uint64_t n = N_DEFAULT;

    if (read_part(query, TEXT("account"), out->account, ACCOUNT_ID_MAX) ||
        read_part(query, TEXT("cursor"), out->cursor, KEY_CURSOR_MAX)) {
        snprintf(why, API_WHY_MAX, "wrong value for account or cursor in the query");
        return ST_INVALID;
    }
    if (read_part(query, TEXT("n"), count, sizeof(count) - 1) ||
        (*count && text_to_u64(text_of(count), &n)) || n < 1 || n > N_MOST) {
        snprintf(why, API_WHY_MAX, "n is a number from 1 to %d", N_MOST);
        return ST_INVALID;
    }
    out->n = (int)n;
    return ST_OK;
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static bool begin(struct admin_answer *out, struct text_out *text, int rows)
{
    size_t size = ROW_BYTES * ((size_t)rows + 1);

    out->content_type = "application/json";
    out->body = malloc(size);
    if (!out->body) {
        out->status = 500;
        return false;
    }
    text_out_init(text, out->body, size);
    return true;
}

static void end(struct admin_answer *out, struct text_out *text)
{
    text_out_char(text, '\n');
    ASSERT(!text->is_full);
    out->body_len = text->len;
}

static void add_member(struct text_out *out, const char *name, const char *value)
{
    text_out_printf(out, ",\"%s\":", name);
    if (*value)
        json_out_string(out, text_of(value));
    else
        text_out_add(out, TEXT("null"));
}

static void add_row(struct text_out *out, const struct key_row *row)
{
    text_out_add(out, TEXT("\"id\":\""));
    text_out_hex(out, row->sha256, KEY_ID_DIGITS / 2);
    text_out_char(out, '"');
    add_member(out, "account", row->record.account);
    add_member(out, "tier", row->record.tier);
    add_member(out, "team", row->record.team);
    add_member(out, "timezone", row->record.zone);
    add_member(out, "created", row->record.created);
    add_member(out, "label", row->record.label);
}

static void add_rows(struct text_out *out, const struct key_answer *answer)
{
    for (int i = 0; i < answer->len; i++) {
        text_out_add(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_row(out, &answer->rows[i]);
        text_out_char(out, '}');
    }
}

void keys_print_added(struct admin_answer *out, const struct key_answer *answer, const char *key)
{
    struct text_out text;

    if (!begin(out, &text, 1))
        return;
    text_out_char(&text, '{');
    if (key)
        text_out_printf(&text, "\"key\":\"%s\",", key);
    add_row(&text, &answer->rows[0]);
    text_out_char(&text, '}');
    end(out, &text);
}

void keys_print_list(struct admin_answer *out, const struct key_answer *answer)
{
    struct text_out text;

    if (!begin(out, &text, answer->len))
        return;
    text_out_add(&text, TEXT("{\"keys\":["));
    add_rows(&text, answer);
    text_out_char(&text, ']');
    add_member(&text, "cursor", answer->cursor);
    text_out_char(&text, '}');
    end(out, &text);
}

void keys_print_revoked(struct admin_answer *out, const struct key_answer *answer)
{
    struct text_out text;

    if (!begin(out, &text, answer->len))
        return;
    text_out_add(&text, TEXT("{\"revoked\":["));
    add_rows(&text, answer);
    text_out_add(&text, TEXT("]}"));
    end(out, &text);
}
