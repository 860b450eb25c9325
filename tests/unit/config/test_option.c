/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "base/log.h"
#include "unit/config/fixture.h"

TestSuite(option, .init = fixture_open, .fini = fixture_close);

Test(option, defaults)
{
    struct config *config = fixture_load_ok(MAIN_FILE);

    cr_expect_eq(config->workers, 0);
    cr_expect_eq(config->max_connections, 10000);
    cr_expect_eq(config->head_bytes, 16384);
    cr_expect_eq(config->body_bytes, 33554432);
    cr_expect_eq(config->head_timeout_ms, 10000);
    cr_expect_eq(config->answer_timeout_ms, 600000);
    cr_expect_eq(config->quota_timeout_ms, 0, "auto");
    cr_expect_eq(config->commit, COMMIT_SENT);
    cr_expect_eq(config->wait_replicas, 0);
    cr_expect_str_eq(config->tls_ca, "");
    cr_expect_eq(config->when_stale, WHEN_STALE_OVERLOADED);
    cr_expect_eq(config->access_format, ACCESS_FORMAT_JSON);
    cr_expect_eq(config->log_level, LOG_NOTE);
    cr_expect_str_eq(config->access_log, "-");
    cr_expect_str_eq(config->spool_dir, "/tmp");
    cr_expect_eq(config->store.kind, STORE_EMBEDDED);
    config_unref(&config);
}

Test(option, are_read)
{
    struct config *config = fixture_load_ok(
        MAIN_FILE
        "workers: 8\nmax_waiting: 0\n"
        "timeouts: {head: 250ms, answer: 1h, drain: 0s}\n"
        "limits:\n  body: 4GiB\n  spool_dir: /var/tmp\n"
        "quota: {commit: acknowledged, lease: 500ms, timeout: 5ms, wait_replicas: 2, tls_ca: "
        "a.pem,\n"
        "  tls_cert: b.pem, tls_key: c.pem}\n"
        "telemetry: {when_stale: unknown}\nlog: {format: text, level: debug, access: off}\n");

    cr_expect_eq(config->workers, 8);
    cr_expect_eq(config->max_waiting, 0);
    cr_expect_eq(config->head_timeout_ms, 250);
    cr_expect_eq(config->answer_timeout_ms, 3600000);
    cr_expect_eq(config->drain_ms, 0);
    cr_expect_eq(config->body_bytes, INT64_C(4294967296));
    cr_expect_str_eq(config->spool_dir, "/var/tmp");
    cr_expect_eq(config->commit, COMMIT_ACKNOWLEDGED);
    cr_expect_eq(config->lease_ms, 500);
    cr_expect_eq(config->quota_timeout_ms, 5);
    cr_expect_eq(config->wait_replicas, 2);
    cr_expect_str_eq(config->tls_ca, "a.pem");
    cr_expect_str_eq(config->tls_cert, "b.pem");
    cr_expect_str_eq(config->tls_key, "c.pem");
    cr_expect_eq(config->when_stale, WHEN_STALE_UNKNOWN);
    cr_expect_eq(config->access_format, ACCESS_FORMAT_TEXT);
    cr_expect_eq(config->log_level, LOG_DEBUG);
    cr_expect_str_eq(config->access_log, "off");
    config_unref(&config);
}

Test(option, what_is_wrong_is_said_with_its_place)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"workers: many\n", "main.yaml:5:10: wrong value 'many' for 'workers', expected a whole "
                            "number, auto, or 0 to 256"},
        {"workers: 257\n", "main.yaml:5:10: wrong value '257'"},
        {"workers: [1]\n", "main.yaml:5:10: a list for 'workers', expected a whole number"},
        {"max_connections: auto\n", "main.yaml:5:18: wrong value 'auto' for 'max_connections'"},
        {"timeouts: 5s\n", "main.yaml:5:11: wrong value '5s' for 'timeouts', expected a mapping"},
        {"timeouts: {hed: 5s}\n", "main.yaml:5:12: unknown key 'hed', expected 'head' perhaps"},
        {"timeouts: {colour: red}\n",
         "main.yaml:5:12: unknown key 'colour', expected one of: head, "
         "body, keep_alive, write, "},
        {"timeouts: {head: 5}\n", "main.yaml:5:18: wrong value '5' for 'timeouts.head', expected a "
                                  "duration (as 250ms, 10s, 5min or 1h), 10ms to 1h"},
        {"timeouts: {head: 2h}\n", "main.yaml:5:18: wrong value '2h'"},
        {"limits: {head: 128KiB}\n",
         "main.yaml:5:16: wrong value '128KiB' for 'limits.head', expected "
         "a size (as 512, 16KiB or 1MiB), 1KiB to 64KiB"},
        {"limits: {spool_dir: ''}\n", "main.yaml:5:21: no value for 'limits.spool_dir', expected a "
                                      "line of text"},
        {"quota: {commit: soon}\n",
         "main.yaml:5:17: wrong value 'soon' for 'quota.commit', expected "
         "one of: sent, acknowledged"},
        {"log: {level: loud}\n", "main.yaml:5:14: wrong value 'loud' for 'log.level', expected one "
                                 "of: error, warn, note, debug"},
        {"timeouts.head: 5s\n", "main.yaml:5:1: unknown key 'timeouts.head', expected one of"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[1024] = MAIN_FILE;
        struct config *config = NULL;
        strcat(text, rows[i].text);
        cr_expect_eq(fixture_load(text, &config), ST_INVALID, "%s", rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "got \"%s\", not \"%s\"", fixture_error, rows[i].error);
        cr_expect_null(config);
    }
}

Test(option, are_printed_as_a_table, .init = cr_redirect_stdout)
{
    config_print_options();
    fflush(stdout);
    FILE *printed = cr_get_redirected_stdout();
    char table[16384];
    size_t len = fread(table, 1, sizeof(table) - 1, printed);
    table[len] = '\0';
    cr_expect_not_null(strstr(table, "OPTION "));
    cr_expect_not_null(strstr(table, "\nworkers "));
    cr_expect_not_null(strstr(table, "auto, or 0 to 256"));
    cr_expect_not_null(strstr(table, "\ntimeouts.head "));
    cr_expect_not_null(strstr(table, "10ms to 1h"));
    cr_expect_not_null(strstr(table, "sent, acknowledged"));
}
