/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

#define MAIN MAIN_LISTEN MAIN_POLICIES MAIN_BACKENDS "identity: [{keyfile: accounts.yaml}]\n"
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C64  "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"

TestSuite(accounts, .init = fixture_open, .fini = fixture_close);

Test(accounts, keys_are_sorted_by_digest)
{
    fixture_write("accounts.yaml", "keys:\n"
                                   "  - {sha256: " C64 ", account: c, tier: staff}\n"
                                   "  - {sha256: " A64 ", account: a, tier: free}\n"
                                   "  - {account: a, sha256: '" B64 "', tier: plus}\n");
    struct config *config = fixture_load_ok(MAIN);
    const struct identity_source *source = &config->identity[0];
    cr_expect_eq(source->kind, IDENTITY_KEYFILE);
    cr_expect_str_eq(source->keyfile, fixture_path("accounts.yaml"));
    cr_assert_eq(source->keys_len, 3);
    cr_expect_eq(source->keys[0].sha256[31], 0xaa);
    cr_expect_eq(source->keys[0].tier, 0);
    cr_expect_eq(source->keys[1].sha256[0], 0xbb);
    cr_expect_str_eq(source->keys[1].account, "a");
    cr_expect_eq(source->keys[2].sha256[0], 0xcc);
    cr_expect_eq(source->keys[2].tier, 2);
    config_unref(&config);
}

Test(accounts, an_empty_list_has_no_keys)
{
    fixture_write("accounts.yaml", "keys: []\n");
    struct config *config = fixture_load_ok(MAIN);
    cr_expect_eq(config->identity[0].keys_len, 0);
    config_unref(&config);
}

static const char with_teams[] =
    "tiers: {free: {images: {per_day: 3}}}\n"
    "teams: {zeta: {images: {per_day: 9}}, acme: {images: {per_day: 5}}}\n";

Test(accounts, teams_and_time_zones)
{
    fixture_write("policy.yaml", with_teams);
    fixture_write(
        "accounts.yaml",
        "keys:\n"
        "  - {sha256: " A64 ", account: a, tier: free}\n"
        "  - {sha256: " B64 ", account: b, tier: free, team: zeta, timezone: Europe/Berlin}\n"
        "  - {sha256: " C64 ", account: b, tier: free, timezone: Europe/Berlin, team: zeta}\n");
    struct config *config = fixture_load_ok(MAIN);
    const struct key_entry *keys = config->identity[0].keys;

    cr_expect_eq(keys[0].team, -1);
    cr_expect_null(keys[0].zone);
    cr_expect_eq(keys[1].team, 1, "teams are ordered by their names");
    cr_assert_not_null(keys[1].zone);
    cr_expect_eq(zone_offset_at(keys[1].zone, FIXTURE_NOW_S), 3600);
    cr_expect_eq(keys[1].zone, keys[2].zone, "a zone is built once");
    config_unref(&config);
}

Test(accounts, an_account_has_one_team_and_one_time_zone)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"keys:\n  - {sha256: " B64 ", account: a, tier: free, team: acme}\n"
         "  - {sha256: " A64 ", account: a, tier: free}\n",
         "accounts.yaml:3:5: account 'a' in another team than in line 2, expected one team"},
        {"keys:\n  - {sha256: " B64 ", account: a, tier: free}\n"
         "  - {sha256: " A64 ", account: a, tier: free, timezone: UTC}\n",
         "accounts.yaml:3:5: account 'a' in another time zone than in line 2, expected one"},
        {"keys:\n  - {sha256: " A64 ", account: a, tier: free, team: acm}\n",
         "accounts.yaml:2:110: wrong value 'acm' for 'team', expected the name of a team"},
        {"keys:\n  - {sha256: " A64 ", account: a, tier: free, timezone: Mars/Base}\n",
         "accounts.yaml:2:114: wrong value 'Mars/Base' for 'timezone', expected a zone"},
    };

    fixture_write("policy.yaml", with_teams);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *config = NULL;
        fixture_write("accounts.yaml", rows[i].text);
        cr_expect_eq(fixture_load(MAIN, &config), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
    }
}

Test(accounts, what_is_wrong_is_said_without_the_key)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"keys:\n  - {sha256: hunter2, account: a, tier: free}\n",
         "accounts.yaml:2:14: wrong value for 'sha256', expected 64 hex digits"},
        {"keys:\n  - {sha256: " A64 "a, account: a, tier: free}\n", "accounts.yaml:2:14: wrong"},
        {"keys:\n  - {sha256: gaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "
         "account: a, tier: free}\n",
         "accounts.yaml:2:14: wrong value for 'sha256', expected 64 hex digits"},
        {"keys:\n  - {sha256: " A64 ", account: a, tier: gold}\n",
         "accounts.yaml:2:98: wrong value 'gold' for 'tier', expected the name of a tier"},
        {"keys:\n  - {sha256: " A64 ", account: a b, tier: free}\n",
         "accounts.yaml:2:89: wrong value 'a b' for 'account', expected an account's id"},
        {"keys:\n  - {sha256: " A64 ", tier: free}\n", "accounts.yaml:2:5: no key 'account' here"},
        {"keys:\n  - {sha256: " A64 ", account: a, tier: free}\n"
         "  - {sha256: " B64 ", account: b, tier: free}\n"
         "  - {sha256: " A64 ", account: b, tier: free}\n",
         "accounts.yaml:4:5: the key of line 2 again, expected each key once"},
        {"keys:\n  - hunter2-hunter2-hunter2-hunter2-hunter2: 1\n",
         "accounts.yaml:2:5: unknown key, expected 'sha256' or another short word"},
        {"keys: hunter2\n", "accounts.yaml:1:7: wrong value 'hunter2'"},
        {"key: []\n", "accounts.yaml:1:1: unknown key 'key', expected 'keys' perhaps"},
        {"", "accounts.yaml:1:1: nothing here, expected a mapping"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *config = NULL;
        fixture_write("accounts.yaml", rows[i].text);
        cr_expect_eq(fixture_load(MAIN, &config), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
        cr_expect_null(config);
    }
}

Test(accounts, ids_are_bounded)
{
    char text[512];
    char id[ACCOUNT_ID_MAX + 2];
    struct config *config = NULL;

    memset(id, 'x', sizeof(id));
    id[ACCOUNT_ID_MAX] = '\0';
    snprintf(text, sizeof(text), "keys: [{sha256: " A64 ", account: %s, tier: free}]\n", id);
    fixture_write("accounts.yaml", text);
    config = fixture_load_ok(MAIN);
    config_unref(&config);
    id[ACCOUNT_ID_MAX] = 'x';
    id[ACCOUNT_ID_MAX + 1] = '\0';
    snprintf(text, sizeof(text), "keys: [{sha256: " A64 ", account: %s, tier: free}]\n", id);
    fixture_write("accounts.yaml", text);
    cr_expect_eq(fixture_load(MAIN, &config), ST_INVALID);
}

/* More than a main file may have: keyfiles have a larger bound of their own. */
Test(accounts, twenty_thousand_keys)
{
    enum { KEYS = 20000, LINE = 128 };
    char *text = malloc(16 + (size_t)KEYS * LINE);
    char *end = text + sprintf(text, "keys:\n");

    for (int i = 0; i < KEYS; i++)
        end += sprintf(end, "  - {sha256: %056d%08x, account: a%d, tier: free}\n", 0,
                       (unsigned)i * 2654435761U, i);
    fixture_write("accounts.yaml", text);
    free(text);
    struct config *config = fixture_load_ok(MAIN);
    const struct identity_source *source = &config->identity[0];
    cr_expect_eq(source->keys_len, KEYS);
    for (int i = 1; i < source->keys_len; i++)
        cr_assert_lt(memcmp(source->keys[i - 1].sha256, source->keys[i].sha256, 32), 0);
    config_unref(&config);
}
