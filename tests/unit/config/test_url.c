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

/* "name:port name:port" */
static const char *hosts_of(const struct store_url *url, char buf[256])
{
    struct text_out out;

    text_out_init(&out, buf, 256);
    for (int i = 0; i < url->hosts_len; i++)
        text_out_printf(&out, "%s%s:%d", i > 0 ? " " : "", url->hosts[i].name, url->hosts[i].port);
    return buf;
}

Test(url, store)
{
    static const struct row {
        const char *url;
        enum store_kind kind;
        const char *path, *hosts, *user, *password;
        int db;
    } rows[] = {
        {"embedded:///var/lib/meltguard", STORE_EMBEDDED, "/var/lib/meltguard", "", "-", "-", 0},
        {"redis://127.0.0.1", STORE_REDIS, "-", "127.0.0.1:6379", "-", "-", 0},
        {"redis://cache:7000/", STORE_REDIS, "-", "cache:7000", "-", "-", 0},
        {"redis://cache/3", STORE_REDIS, "-", "cache:6379", "-", "-", 3},
        {"redis://[::1]:7000/3", STORE_REDIS, "-", "::1:7000", "-", "-", 3},
        {"redis://:pw@cache", STORE_REDIS, "-", "cache:6379", "-", "pw", 0},
        {"redis://me:p%40ss%2F%25@cache:1/2", STORE_REDIS, "-", "cache:1", "me", "p@ss/%", 2},
        {"redis://m%C3%A9:a:b@c", STORE_REDIS, "-", "c:6379", "m\xc3\xa9", "a:b", 0},
        {"redis://me:p@ss@cache", STORE_REDIS, "-", "cache:6379", "me", "p@ss", 0},
        {"redis+unix:///run/redis.sock", STORE_REDIS, "/run/redis.sock", "", "-", "-", 0},
        {"redis+unix:///run/redis.sock?db=3", STORE_REDIS, "/run/redis.sock", "", "-", "-", 3},
        {"redis+unix://me:pw@/run/r", STORE_REDIS, "/run/r", "", "me", "pw", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_url url;
        const char *why = "";
        char buf[256];

        cr_assert_eq(url_store(text_of(rows[i].url), memory, &why, &url), ST_OK, "%s: %s",
                     rows[i].url, why);
        cr_expect_eq(url.kind, rows[i].kind);
        cr_expect_eq(url.topology, url.kind == STORE_REDIS ? TOPOLOGY_SINGLE : TOPOLOGY_NONE);
        cr_expect(!url.is_tls);
        cr_expect_str_eq(shown(url.path), rows[i].path);
        cr_expect_str_eq(hosts_of(&url, buf), rows[i].hosts);
        cr_expect_str_eq(shown(url.user), rows[i].user);
        cr_expect_str_eq(shown(url.password), rows[i].password);
        cr_expect_eq(url.db, rows[i].db);
    }
}

Test(url, store_of_many_hosts)
{
    static const struct row {
        const char *url;
        enum store_topology topology;
        bool is_tls;
        const char *hosts, *master, *user;
        int db;
    } rows[] = {
        {"rediss://h/2", TOPOLOGY_SINGLE, true, "h:6379", "-", "-", 2},
        {"redis+sentinel://a/m", TOPOLOGY_SENTINEL, false, "a:26379", "m", "-", 0},
        {"redis+sentinel://u:p@a:1,b,[::1]:3/my.master-1/4", TOPOLOGY_SENTINEL, false,
         "a:1 b:26379 ::1:3", "my.master-1", "u", 4},
        {"rediss+sentinel://a,b/m/", TOPOLOGY_SENTINEL, true, "a:26379 b:26379", "m", "-", 0},
        {"redis+cluster://a:7001, b:7002", TOPOLOGY_CLUSTER, false, "a:7001 b:7002", "-", "-", 0},
        {"redis+cluster://u:p@a/", TOPOLOGY_CLUSTER, false, "a:6379", "-", "u", 0},
        {"rediss+cluster://a/0", TOPOLOGY_CLUSTER, true, "a:6379", "-", "-", 0},
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", TOPOLOGY_CLUSTER, false,
         "1:6379 2:6379 3:6379 4:6379 5:6379 6:6379 7:6379 8:6379 9:6379 10:6379 11:6379 12:6379 "
         "13:6379 14:6379 15:6379 16:6379",
         "-", "-", 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_url url;
        const char *why = "";
        char buf[256];

        cr_assert_eq(url_store(text_of(rows[i].url), memory, &why, &url), ST_OK, "%s: %s",
                     rows[i].url, why);
        cr_expect_eq(url.kind, STORE_REDIS);
        cr_expect_eq(url.topology, rows[i].topology);
        cr_expect_eq(url.is_tls, rows[i].is_tls);
        cr_expect_null(url.path);
        cr_expect_str_eq(hosts_of(&url, buf), rows[i].hosts);
        cr_expect_str_eq(shown(url.master), rows[i].master);
        cr_expect_str_eq(shown(url.user), rows[i].user);
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
        {"redis+unix:///x?", "wrong database"},
        {"redis+unix:///x?db=", "wrong database"},
        {"redis+unix:///x?db=65536", "wrong database"},
        {"redis+unix:///x?hunter2=1", "wrong database"},
        {"redis+unix:///x?db=1?db=2", "wrong database"},
        {"redis://a,b", "wrong host or port"},
        {"rediss://", "wrong host or port"},
        {"redis+sentinel://a,b", "wrong name of the master"},
        {"redis+sentinel://a,b/", "wrong name of the master"},
        {"redis+sentinel://a/m/x", "wrong name of the master"},
        {"redis+sentinel://a/hunter2 m", "wrong name of the master"},
        {"redis+sentinel:///m", "wrong hosts"},
        {"redis+sentinel://a,/m", "wrong hosts"},
        {"redis+sentinel://a,,b/m", "wrong hosts"},
        {"redis+sentinel://hunter2@a/m", "wrong user or password"},
        {"redis+cluster://", "wrong hosts"},
        {"redis+cluster://a:0", "wrong hosts"},
        {"redis+cluster://a/1", "a Cluster has no databases"},
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "wrong hosts"},
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
