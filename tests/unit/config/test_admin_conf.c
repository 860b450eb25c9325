/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin_conf.c - where operators reach the gateway. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "config/listen.h"
#include "fixture.h"

#define TOKEN "0123456789abcdef"

TestSuite(admin_conf, .init = fixture_open, .fini = fixture_close);

static struct config *load(const char *admin)
{
    static char text[1024];

    snprintf(text, sizeof(text), "%sadmin: %s\n", MAIN_FILE, admin);
    return fixture_load_ok(text);
}

Test(admin_conf, address_socket_and_token)
{
    struct config *config =
        load("{address: '127.0.0.1:9901', socket: /run/x.sock, token: " TOKEN "}");
    struct address expected;

    cr_expect(config->has_admin);
    cr_expect(config->has_admin_socket);
    cr_expect_str_eq(config->admin_token, TOKEN);
    cr_assert_eq(address_parse(TEXT("unix:/run/x.sock"), &expected), ST_OK);
    cr_expect(listen_is_same(&expected, &config->admin_socket));
    config_unref(&config);
}

Test(admin_conf, a_socket_alone)
{
    struct config *config = load("{socket: /run/x.sock}");

    cr_expect_not(config->has_admin);
    cr_expect_null(config->admin_token);
    config_unref(&config);
}

Test(admin_conf, a_token_from_a_file)
{
    fixture_write("token", TOKEN "\r\n");
    struct config *config = load("{socket: /run/x.sock, token_file: token}");

    cr_expect_str_eq(config->admin_token, TOKEN);
    config_unref(&config);
}

Test(admin_conf, what_is_wrong)
{
    static const struct {
        const char *admin, *error;
    } cases[] = {
        {"{}", "no place to listen at"},
        {"{token: " TOKEN "}", "no place to listen at"},
        {"{socket: x.sock}", "wrong value 'x.sock' for 'socket'"},
        {"{socket: /x, token: short}", "for 'token', expected 16 to 1024"},
        {"{socket: /x, token: 'with a blank 0123456789'}", "expected 16 to 1024"},
        {"{socket: /x, token: " TOKEN ", token_file: token}", "expected one of them"},
        {"{socket: /x, token_file: missing}", "cannot read"},
        {"{socket: /x, token_file: empty}", "no token in"},
        {"{socket: /x, address: '127.0.0.1:8080'}", "for the second time"},
    };

    fixture_write("token", TOKEN "\n");
    fixture_write("empty", "\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = NULL;
        char text[1024];

        snprintf(text, sizeof(text), "%sadmin: %s\n", MAIN_FILE, cases[i].admin);
        cr_expect_eq(fixture_load(text, &config), ST_INVALID, "%s", cases[i].admin);
        cr_expect_not_null(strstr(fixture_error, cases[i].error), "%s", fixture_error);
        cr_expect_null(strstr(fixture_error, "short'"), "a token is never shown");
    }
}

/* Sockets live as long as the process; the token is taken over by a reload. */
Test(admin_conf, a_reload_changes_the_token_alone)
{
    struct config *from = load("{socket: /run/x.sock, token: " TOKEN "}");
    struct config *token = load("{socket: /run/x.sock, token: " TOKEN TOKEN "}");
    struct config *place = load("{socket: /run/y.sock, token: " TOKEN "}");
    char buf[256];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    config_restart_changes(from, token, &out);
    cr_expect_str_eq(buf, "");
    config_restart_changes(from, place, &out);
    cr_expect_str_eq(buf, "admin");
    config_unref(&from);
    config_unref(&token);
    config_unref(&place);
}
