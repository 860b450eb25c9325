/* SPDX-License-Identifier: Apache-2.0 */
/* keys_ask.c - bodies, queries and answers about keys.      Runs on: control thread.  Pure. */
#include "admin/keys_ask.h"

#include <stdio.h>

#include "config/value.h"

#define N_DEFAULT 100
#define N_MOST    1000
/* More than a key takes as JSON, each character of its texts escaped. */
#define ROW_BYTES 1536

/* --- bodies ------------------------------------------------------------------------------------------------------------- */

struct reading {
    struct keys_body *body;
    const struct config *config;
};

static bool read_account(void *into, struct text value)
{
    struct reading *r = into;

    return value_is_visible(value) &&
           key_record_keep(r->body->record.account, ACCOUNT_ID_MAX, value);
}

static bool read_tier(void *into, struct text value)
{
    struct reading *r = into;

    return policy_tier(&r->config->policy, value) >= 0 &&
           key_record_keep(r->body->record.tier, KEY_NAME_MAX, value);
}

static bool read_team(void *into, struct text value)
{
    struct reading *r = into;

    return policy_team(&r->config->policy, value) >= 0 &&
           key_record_keep(r->body->record.team, KEY_NAME_MAX, value);
}

static bool read_zone(void *into, struct text value)
{
    struct reading *r = into;
    const struct keystore_conf *conf = config_keystore(r->config);

    for (int i = 0; i < conf->zones_len; i++)
        if (text_equal(value, text_of(conf->zones[i].name)))
            return key_record_keep(r->body->record.zone, KEY_NAME_MAX, value);
    return false;
}

static bool read_label(void *into, struct text value)
{
    struct reading *r = into;

    return value_is_line(value) && key_record_keep(r->body->record.label, KEY_LABEL_MAX, value);
}

static bool read_sha256(void *into, struct text value)
{
    struct reading *r = into;

    r->body->has_sha256 = true;
    return value.len == KEY_CURSOR_MAX &&
           text_unhex(value, r->body->sha256, KEY_SHA256_LEN) == ST_OK;
}

static const struct api_field fields[] = {
    {"account", JSON_STRING, true, read_account, "1 to 128 visible ASCII characters"},
    {"tier", JSON_STRING, true, read_tier, "the name of a tier of the policy"},
    {"team", JSON_STRING, true, read_team, "the name of a team of the policy"},
    {"timezone", JSON_STRING, true, read_zone,
     "one of the keystore's zones (see zones in the configuration)"},
    {"label", JSON_STRING, true, read_label, "a line of up to 64 bytes"},
    {"sha256", JSON_STRING, true, read_sha256, "64 hex digits"},
};

enum status keys_read_body(struct text body, const struct config *config, struct keys_body *out,
                           char why[API_WHY_MAX])
{
    struct reading r = {.body = out, .config = config};

    *out = (struct keys_body){.has_sha256 = false};
    if (api_read_fields(body, fields, ARRAY_LEN(fields), &r, why))
        return ST_INVALID;
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
    if (read_part(query, TEXT("account"), out->account, ACCOUNT_ID_MAX) ||
        read_part(query, TEXT("cursor"), out->cursor, KEY_CURSOR_MAX)) {
        snprintf(why, API_WHY_MAX, "wrong value for account or cursor in the query");
        return ST_INVALID;
    }
    out->n = N_DEFAULT;
    return api_read_count(query, N_MOST, &out->n, why);
}

/* --- answers ------------------------------------------------------------------------------------------------------------ */

static void add_member(struct text_out *out, const char *name, const char *value)
{
    text_out_printf(out, ",\"%s\":", name);
    api_add_string(out, *value ? value : NULL);
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

    if (!api_answer_begin(out, &text, 2 * ROW_BYTES))
        return;
    text_out_char(&text, '{');
    if (key)
        text_out_printf(&text, "\"key\":\"%s\",", key);
    add_row(&text, &answer->rows[0]);
    text_out_char(&text, '}');
    api_answer_end(out, &text);
}

void keys_print_list(struct admin_answer *out, const struct key_answer *answer)
{
    struct text_out text;

    if (!api_answer_begin(out, &text, ROW_BYTES * ((size_t)answer->len + 1)))
        return;
    text_out_add(&text, TEXT("{\"keys\":["));
    add_rows(&text, answer);
    text_out_char(&text, ']');
    add_member(&text, "cursor", answer->cursor);
    text_out_char(&text, '}');
    api_answer_end(out, &text);
}

void keys_print_revoked(struct admin_answer *out, const struct key_answer *answer)
{
    struct text_out text;

    if (!api_answer_begin(out, &text, ROW_BYTES * ((size_t)answer->len + 1)))
        return;
    text_out_add(&text, TEXT("{\"revoked\":["));
    add_rows(&text, answer);
    text_out_add(&text, TEXT("]}"));
    api_answer_end(out, &text);
}
