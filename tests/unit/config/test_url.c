/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <criterion/criterion.h>

#include "config/url.h"

static struct config_memory *memory;

static void setup(void)
{
    memory = config_memory_new();
    cr_assert_not_null(memory);
}

static void teardown(void)
{
    config_memory_free(&memory);
}

TestSuite(url, .init = setup, .fini = teardown);

Test(url, http)
{
    static const struct row {
        const char *url, *host_port, *path;
    } rows[] = {
        {"http://127.0.0.1:9001", "127.0.0.1:9001", ""},
        {"http://127.0.0.1:9001/metrics", "127.0.0.1:9001", "/metrics"},
        {"HTTP://gpu7.example", "gpu7.example:80", ""},
        {"http://gpu7/", "gpu7:80", "/"},
        {"http://[::1]:9001/v1", "[::1]:9001", "/v1"},
        {"http://[fe80::1]", "[fe80::1]:80", ""},
        {"http://h:1/a?b=c", "h:1", "/a?b=c"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_url url;
        const char *why = "";
        cr_assert_eq(url_http(text_of(rows[i].url), memory, &why, &url), ST_OK, "%s: %s",
                     rows[i].url, why);
        cr_expect_str_eq(url.host_port, rows[i].host_port);
        cr_expect_str_eq(url.path, rows[i].path);
    }
}

Test(url, http_wrong)
{
    static const struct row {
        const char *url, *why;
    } rows[] = {
        {"https://h", "https is not supported yet"},
        {"ftp://h", "not an http URL"},
        {"h:9001", "not an http URL"},
        {"", "not an http URL"},
        {"http://", "wrong host or port"},
        {"http://:80", "wrong host or port"},
        {"http://h:", "wrong host or port"},
        {"http://h:0", "wrong host or port"},
        {"http://h:65536", "wrong host or port"},
        {"http://h:8 0", "wrong host or port"},
        {"http://[::1", "wrong host or port"},
        {"http://[::1]80", "wrong host or port"},
        {"http://[::g]:80", "wrong host or port"},
        {"http://[127.0.0.1]:80", "wrong host or port"},
        {"http://a b/", "wrong host or port"},
        {"http://user:secret@h/", "a user in a URL"},
        {"http://h/a b", "wrong path"},
        {"http://h/a#b", "wrong path"},
        {"http://h?x", "wrong path"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_url url;
        const char *why = "";
        cr_assert_eq(url_http(text_of(rows[i].url), memory, &why, &url), ST_INVALID, "%s",
                     rows[i].url);
        cr_expect_eq(strncmp(why, rows[i].why, strlen(rows[i].why)), 0, "%s: %s", rows[i].url, why);
        cr_expect_not_null(strstr(why, "expected"));
    }
}

static const char *shown(const char *text)
{
    return text ? text : "-";
}

Test(url, store)
{
    static const struct row {
        const char *url;
        enum store_kind kind;
        const char *path, *host;
        int port;
        const char *user, *password;
        int db;
    } rows[] = {
        {"embedded:///var/lib/meltguard", STORE_EMBEDDED, "/var/lib/meltguard", "-", 0, "-", "-",
         0},
        {"redis://127.0.0.1", STORE_REDIS, "-", "127.0.0.1", 6379, "-", "-", 0},
        {"redis://cache:7000/", STORE_REDIS, "-", "cache", 7000, "-", "-", 0},
        {"redis://cache/3", STORE_REDIS, "-", "cache", 6379, "-", "-", 3},
        {"redis://[::1]:7000/3", STORE_REDIS, "-", "::1", 7000, "-", "-", 3},
        {"redis://:pw@cache", STORE_REDIS, "-", "cache", 6379, "-", "pw", 0},
        {"redis://me:p%40ss%2F%25@cache:1/2", STORE_REDIS, "-", "cache", 1, "me", "p@ss/%", 2},
        {"redis://m%C3%A9:a:b@c", STORE_REDIS, "-", "c", 6379, "m\xc3\xa9", "a:b", 0},
        {"redis://me:p@ss@cache", STORE_REDIS, "-", "cache", 6379, "me", "p@ss", 0},
        {"redis+unix:///run/redis.sock", STORE_REDIS, "/run/redis.sock", "-", 0, "-", "-", 0},
        {"redis+unix://me:pw@/run/r", STORE_REDIS, "/run/r", "-", 0, "me", "pw", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_url url;
        const char *why = "";
        cr_assert_eq(url_store(text_of(rows[i].url), memory, &why, &url), ST_OK, "%s: %s",
                     rows[i].url, why);
        cr_expect_eq(url.kind, rows[i].kind);
        cr_expect_str_eq(shown(url.path), rows[i].path);
        cr_expect_str_eq(shown(url.host), rows[i].host);
        cr_expect_eq(url.port, rows[i].port);
        cr_expect_str_eq(shown(url.user), rows[i].user);
        cr_expect_str_eq(shown(url.password), rows[i].password);
        cr_expect_eq(url.db, rows[i].db);
    }
}

Test(url, store_wrong_and_silent_about_secrets)
{
    static const struct row {
        const char *url, *why;
    } rows[] = {
        {"", "no such kind"},
        {"/var/lib/meltguard", "no such kind"},
        {"memcached://hunter2", "no such kind"},
        {"rediss://:hunter2@h", "Redis over TLS is not supported yet"},
        {"embedded://var/lib", "wrong folder"},
        {"embedded://", "wrong folder"},
        {"redis://", "wrong host or port"},
        {"redis://me:hunter2@", "wrong host or port"},
        {"redis://hunter2@h", "wrong user or password"},
        {"redis://me:@h", "wrong user or password"},
        {"redis://me:hunter2%@h", "wrong user or password"},
        {"redis://me:hunter2%0@h", "wrong user or password"},
        {"redis://me:hunter2%0g@h", "wrong user or password"},
        {"redis://me:hunter2%00@h", "wrong user or password"},
        {"redis://me:hunter2/x@h", "wrong host or port"},
        {"redis://h/x", "wrong database"},
        {"redis://h/-1", "wrong database"},
        {"redis://h/65536", "wrong database"},
        {"redis://h?db=1", "wrong database"},
        {"redis+unix://run/redis.sock", "wrong socket"},
        {"redis+unix://", "wrong socket"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_url url;
        const char *why = "";
        cr_assert_eq(url_store(text_of(rows[i].url), memory, &why, &url), ST_INVALID, "%s",
                     rows[i].url);
        cr_expect_eq(strncmp(why, rows[i].why, strlen(rows[i].why)), 0, "%s: %s", rows[i].url, why);
        cr_expect_null(strstr(why, "hunter2"));
    }
}

Test(url, socket_path_fits_its_structure)
{
    char url[256] = "redis+unix:///";
    struct store_url out;
    const char *why;
    size_t scheme = strlen("redis+unix://");

    memset(url + strlen(url), 'a', 107);
    url[scheme + 107] = '\0';
    cr_expect_eq(url_store(text_of(url), memory, &why, &out), ST_OK);
    url[scheme + 107] = 'a';
    cr_expect_eq(url_store(text_of(url), memory, &why, &out), ST_INVALID);
}
