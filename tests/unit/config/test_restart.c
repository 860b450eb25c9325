/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

TestSuite(restart, .init = fixture_open, .fini = fixture_close);

#define BACKEND(rest)                                                                              \
    "backends: [{name: gpu0, url: 'http://127.0.0.1:9001', dialect: openai" rest "}]\n"
#define BEFORE MAIN_POLICIES MAIN_IDENTITY

static const char from[] = BEFORE MAIN_LISTEN "quota_store: redis://u:a@h/1\n" BACKEND("");

Test(restart, what_needs_one_is_named)
{
    static const struct row {
        const char *to, *changes;
    } rows[] = {
        {BEFORE MAIN_LISTEN "quota_store: redis://u:a@h:6379/1\n" BACKEND(", max_in_flight: 1"),
         ""},
        {BEFORE "listen: [{address: '127.0.0.1:8081'}]\nquota_store: redis://u:a@h/1\n" BACKEND(""),
         "listen"},
        {BEFORE "listen: [{address: '127.0.0.1:8080'}, {address: '127.0.0.1:8081'}]\n"
                "quota_store: redis://u:a@h/1\n" BACKEND(""),
         "listen"},
        {BEFORE MAIN_LISTEN "quota_store: redis://u:b@h/1\n" BACKEND(""), "quota_store"},
        {BEFORE MAIN_LISTEN "quota_store: rediss://u:a@h/1\n" BACKEND(""), "quota_store"},
        {BEFORE MAIN_LISTEN "quota_store: redis://u:a@i/1\n" BACKEND(""), "quota_store"},
        {BEFORE MAIN_LISTEN "quota_store: redis+sentinel://u:a@h:6379/m/1\n" BACKEND(""),
         "quota_store"},
        {BEFORE MAIN_LISTEN BACKEND(""), "quota_store"},
        {BEFORE MAIN_LISTEN "quota_store: redis://u:a@h/1\n" BACKEND(", max_in_flight: 2"),
         "backends"},
        {BEFORE MAIN_LISTEN "quota_store: redis://u:a@h/1\n" BACKEND(", probe: /x"), "backends"},
        {BEFORE MAIN_LISTEN
         "quota_store: redis://u:a@h/1\n" BACKEND(", telemetry: [{prometheus: 'http://h'}]"),
         "backends"},
        {BEFORE MAIN_LISTEN
         "quota_store: redis://u:a@h/1\nadmin: {address: '127.0.0.1:1'}\n"
         "workers: 2\nmax_waiting: 7\nlog: {format: text, access: /x}\n" BACKEND(""),
         "admin, workers, log.access, log.format"},
    };
    struct config *old = fixture_load_ok(from);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *new = fixture_load_ok(rows[i].to);
        char buf[256];
        struct text_out out;
        text_out_init(&out, buf, sizeof(buf));
        config_restart_changes(old, new, &out);
        cr_expect_str_eq(buf, rows[i].changes, "row %zu: %s", i, buf);
        config_unref(&new);
    }
    config_unref(&old);
}
