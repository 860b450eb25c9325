/* SPDX-License-Identifier: Apache-2.0 */
/* test_identity.c - the keystore among the identity sources: where its keys are, its times, and what is wrong with it. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

TestSuite(config_identity, .init = fixture_open, .fini = fixture_close);

#define BEFORE MAIN_LISTEN MAIN_POLICIES MAIN_BACKENDS
#define STORE  "quota_store: redis://u:secret@h:1/2\n"

Test(config_identity, a_keystore_is_where_the_quotas_are)
{
    struct config *config = fixture_load_ok(BEFORE "identity: [{keystore: {}}]\n" STORE);
    const struct keystore_conf *conf = config_keystore(config);

    cr_assert_not_null(conf);
    cr_expect_eq(config->identity[0].kind, IDENTITY_KEYSTORE);
    cr_expect_eq(conf->url.kind, STORE_REDIS);
    cr_expect_str_eq(conf->url.hosts[0].name, "h");
    cr_expect_eq(conf->url.db, 2);
    cr_expect_eq(conf->cache, 10000);
    cr_expect_eq(conf->fresh_ms, 60000);
    cr_expect_eq(conf->unknown_ms, 5000);
    cr_expect_eq(conf->stale_ms, 3600000);
    cr_expect_eq(conf->zones_len, 0);
    config_unref(&config);
    config = fixture_load_ok(BEFORE MAIN_IDENTITY);
    cr_expect_null(config_keystore(config));
    config_unref(&config);
}

Test(config_identity, a_keystore_of_its_own)
{
    struct config *config = fixture_load_ok(
        BEFORE "identity:\n"
               "  - bearer: {accept: any, tier: free}\n"
               "  - keystore: {url: 'redis+cluster://a,b:7', cache: 500, fresh_for: 5s,\n"
               "               unknown_for: 1s, stale_for: 0ms, zones: [Europe/Berlin, UTC]}\n");
    const struct keystore_conf *conf = config_keystore(config);

    cr_assert_not_null(conf);
    cr_expect_eq(conf->url.topology, TOPOLOGY_CLUSTER);
    cr_expect_eq(conf->url.hosts_len, 2);
    cr_expect_eq(conf->cache, 500);
    cr_expect_eq(conf->fresh_ms, 5000);
    cr_expect_eq(conf->unknown_ms, 1000);
    cr_expect_eq(conf->stale_ms, 0);
    cr_assert_eq(conf->zones_len, 2);
    cr_expect_str_eq(conf->zones[0].name, "Europe/Berlin");
    cr_expect_not_null(conf->zones[1].zone);
    config_unref(&config);
}

Test(config_identity, what_is_wrong_with_a_keystore)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"identity: [{keystore: {}}]\n",
         "main.yaml:4:23: keys cannot be kept in an embedded store, expected 'url'"},
        {"identity: [{keystore: {url: 'embedded:///x'}}]\n",
         "main.yaml:4:23: keys cannot be kept in an embedded store"},
        {"identity: [{keystore: {url: 'http://h'}}]\n",
         "main.yaml:4:29: no such kind of store, expected"},
        {"identity: [{keystore: {ur: 'redis://h'}}]\n",
         "main.yaml:4:24: unknown key 'ur', expected 'url' perhaps"},
        {"identity: [{keystore: redis}]\n",
         "main.yaml:4:23: wrong value 'redis' for 'keystore', expected {url, "},
        {STORE "identity: [{keystore: {cache: 1}}]\n",
         "main.yaml:5:31: wrong value '1' for 'cache', expected a number of keys"},
        {STORE "identity: [{keystore: {fresh_for: 5}}]\n",
         "main.yaml:5:35: wrong value '5' for 'fresh_for', expected a duration"},
        {STORE "identity: [{keystore: {zones: [Mars]}}]\n",
         "main.yaml:5:32: wrong value 'Mars' for 'zones', expected a zone"},
        {STORE "identity: [{keystore: {}}, {keystore: {}}]\n",
         "main.yaml:5:28: a second keystore, expected one"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[1024];
        struct config *config = NULL;

        snprintf(text, sizeof(text), "%s%s", BEFORE, rows[i].text);
        cr_expect_eq(fixture_load(text, &config), ST_INVALID, "row %zu", i);
        cr_expect_not_null(strstr(fixture_error, rows[i].error), "row %zu: %s", i, fixture_error);
        cr_expect_null(strstr(fixture_error, "secret"));
    }
}

Test(config_identity, another_keystore_needs_a_restart_and_a_first_one_does_not)
{
    struct config *none = fixture_load_ok(BEFORE MAIN_IDENTITY STORE);
    struct config *first = fixture_load_ok(BEFORE "identity: [{keystore: {}}]\n" STORE);
    struct config *other =
        fixture_load_ok(BEFORE "identity: [{keystore: {url: 'redis://k'}}]\n" STORE);
    struct config *later =
        fixture_load_ok(BEFORE "identity: [{keystore: {stale_for: 2h}}]\n" STORE);
    const struct row {
        const struct config *from, *to;
        const char *changes;
    } rows[] = {{none, first, ""},
                {first, none, ""},
                {first, later, ""},
                {first, other, "identity.keystore"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char buf[256];
        struct text_out out;

        text_out_init(&out, buf, sizeof(buf));
        config_restart_changes(rows[i].from, rows[i].to, &out);
        cr_expect_str_eq(buf, rows[i].changes, "row %zu: %s", i, buf);
    }
    config_unref(&none);
    config_unref(&first);
    config_unref(&other);
    config_unref(&later);
}
