/* SPDX-License-Identifier: Apache-2.0 */
/* keystore_verbs.c - meltctl key add, revoke, list, import: keys in a gateway's keystore.
 * A key is made by the gateway, and printed once. */
#include "ctl/keystore_verbs.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/keyfile.h"
#include "ctl/talk.h"
#include "identity/key_record.h"

#define PAGE "1000"

static const struct column columns[] = {
    {"id", "KEY", false},      {"account", "ACCOUNT", false}, {"tier", "TIER", false},
    {"team", "TEAM", false},   {"timezone", "ZONE", false},   {"created", "CREATED", false},
    {"label", "LABEL", false},
};

/* --- add ---------------------------------------------------------------------------------------------------------------- */

static int print_added(struct text json)
{
    char *key = rows_member(json, "key");
    char *id = rows_member(json, "id");
    int code = EXIT_DONE;

    if (key && id && *key) {
        printf("%s\n", key);
        fprintf(stderr, "This key is shown once; it is listed, and revoked, as %s.\n", id);
    } else {
        code = ctl_fail(EXIT_REFUSED, "the gateway's answer is not understood");
    }
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    free(id);
    return code;
}

int keystore_add(const struct ctl *ctl)
{
    char body[2048];
    struct text_out json;
    struct call_answer answer;

    text_out_init(&json, body, sizeof(body));
    text_out_char(&json, '{');
    talk_add_member(&json, "account", ctl->object, false);
    talk_add_member(&json, "tier", ctl->tier, false);
    talk_add_member(&json, "team", ctl->team, false);
    talk_add_member(&json, "timezone", ctl->timezone, false);
    talk_add_member(&json, "label", ctl->label, false);
    text_out_char(&json, '}');
    if (json.is_full)
        return ctl_fail(EXIT_USAGE, "the label is too long");
    int code = call_api(ctl, "POST", "/v1/keys", text_out_text(&json), &answer);
    return code ? code : talk_finish(ctl, &answer, print_added);
}

/* --- list --------------------------------------------------------------------------------------------------------------- */

static int print_page(struct text json)
{
    return talk_print_rows(json, "keys", columns, ARRAY_LEN(columns));
}

/* One page, and the cursor of the next, "" where there is none. */
static int list_page(const struct ctl *ctl, char cursor[KEY_WHY_MAX])
{
    char target[1024];
    struct text_out out;
    struct call_answer answer;

    text_out_init(&out, target, sizeof(target));
    text_out_add(&out, TEXT("/v1/keys"));
    talk_add_query(&out, '?', "n", PAGE);
    if (ctl->object)
        talk_add_query(&out, '&', "account", ctl->object);
    if (*cursor)
        talk_add_query(&out, '&', "cursor", cursor);
    if (out.is_full)
        return ctl_fail(EXIT_USAGE, "the account's id is too long");
    int code = call_api(ctl, "GET", target, TEXT_NONE, &answer);
    if (code)
        return code;
    char *next = rows_member((struct text){answer.body, answer.len}, "cursor");
    snprintf(cursor, KEY_WHY_MAX, "%s", next ? next : "");
    free(next);
    return talk_finish(ctl, &answer, print_page);
}

int keystore_list(const struct ctl *ctl)
{
    char cursor[KEY_WHY_MAX] = "";
    int code;

    do {
        code = list_page(ctl, cursor);
    } while (code == EXIT_DONE && *cursor);
    return code;
}

/* --- revoke ------------------------------------------------------------------------------------------------------------- */

static int print_revoked(struct text json)
{
    struct rows rows;

    if (rows_read(json, "revoked", columns, ARRAY_LEN(columns), &rows))
        return ctl_fail(EXIT_REFUSED, "the gateway's answer is not understood");
    for (int i = 0; i < rows.len; i++)
        printf("revoked %s of %s\n", rows_cell(&rows, i, 0), rows_cell(&rows, i, 1));
    if (rows.len == 0)
        puts("no such keys");
    rows_free(&rows);
    return EXIT_DONE;
}

static int revoke(const struct ctl *ctl, const struct text_out *target)
{
    struct call_answer answer;
    int code = call_api(ctl, "DELETE", target->buf, TEXT_NONE, &answer);

    return code ? code : talk_finish(ctl, &answer, print_revoked);
}

int keystore_revoke(const struct ctl *ctl, const char *digits)
{
    char target[128];
    struct text_out out;

    if (strlen(digits) < KEY_ID_DIGITS)
        return ctl_fail(EXIT_USAGE,
                        "expected %d digits, as `meltctl key list` shows them; or, for a key in a "
                        "file, --keyfile FILE",
                        KEY_ID_DIGITS);
    text_out_init(&out, target, sizeof(target));
    text_out_printf(&out, "/v1/keys/%s", digits);
    return revoke(ctl, &out);
}

int keystore_revoke_account(const struct ctl *ctl)
{
    char target[1024];
    struct text_out out;

    text_out_init(&out, target, sizeof(target));
    text_out_add(&out, TEXT("/v1/keys"));
    talk_add_query(&out, '?', "account", ctl->account);
    if (out.is_full)
        return ctl_fail(EXIT_USAGE, "the account's id is too long");
    return revoke(ctl, &out);
}

/* --- import ------------------------------------------------------------------------------------------------------------- */

static int import_one(const struct ctl *ctl, const struct key_item *item)
{
    char body[2048];
    struct text_out json;
    struct call_answer answer;

    text_out_init(&json, body, sizeof(body));
    text_out_char(&json, '{');
    talk_add_member(&json, "sha256", item->sha256, false);
    talk_add_member(&json, "account", item->account, false);
    talk_add_member(&json, "tier", item->tier, false);
    talk_add_member(&json, "team", *item->team ? item->team : NULL, false);
    talk_add_member(&json, "timezone", *item->timezone ? item->timezone : NULL, false);
    text_out_char(&json, '}');
    if (json.is_full)
        return ctl_fail(EXIT_REFUSED, "the names of a key of %.64s are too long", item->account);
    int code = call_api(ctl, "POST", "/v1/keys", text_out_text(&json), &answer);
    if (code)
        return code;
    if (answer.status != 200)
        code = talk_refuse(ctl, &answer);
    call_free(&answer);
    return code;
}

static int import_all(const struct ctl *ctl, const struct key_list *list)
{
    int code = EXIT_DONE;
    int done = 0;

    while (code == EXIT_DONE && done < list->len) {
        code = import_one(ctl, &list->items[done]);
        done += code == EXIT_DONE;
    }
    if (code)
        ctl_fail(EXIT_REFUSED,
                 "stopped at key %d of %d, of account %s; those before it are in the keystore, and "
                 "the import can be run again",
                 done + 1, list->len, list->items[done].account);
    else
        printf(ctl->is_json ? "{\"imported\":%d}\n" : "%d keys imported\n", done);
    return code;
}

int key_import(const struct ctl *ctl)
{
    char why[KEY_WHY_MAX] = "";
    struct keyfile file;
    struct key_list list;
    enum status st = keyfile_open(ctl->object, false, &file, why);

    if (st == ST_OK) {
        st = key_text_read((struct text){file.text, file.len}, &list, why);
        keyfile_close(&file);
    }
    if (st)
        return ctl_fail(EXIT_REFUSED, "%s: %s", ctl->object, st == ST_NOMEM ? "no memory" : why);
    int code = import_all(ctl, &list);
    key_list_free(&list);
    return code;
}
