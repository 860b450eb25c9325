/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

TestSuite(config, .init = fixture_open, .fini = fixture_close);

/* The schema as it was promised, but for the policy's name. */
static const char promised[] =
    "listen:\n"
    "  - address: 127.0.0.1:8080\n"
    "admin:\n"
    "  address: 127.0.0.1:9901\n"
    "workers: auto                       # one a core\n"
    "quota_store: embedded:///var/lib/meltguard     # or redis://\n"
    "identity:                           # tried in order; the first that applies decides\n"
    "  - keyfile: accounts.yaml          # SHA-256 of each key, account, tier\n"
    "  - header: {account: X-Account-Id, tier: X-Account-Tier, trust: [127.0.0.0/8]}\n"
    "  - bearer: {accept: any, tier: free}          # each distinct token is an account of its "
    "own\n"
    "  - address: {tier: anonymous, prefix_v4: 32, prefix_v6: 64}\n"
    "policies: policy.yaml\n"
    "backends:\n"
    "  - name: gpu0\n"
    "    url: http://127.0.0.1:9001\n"
    "    dialect: openai\n"
    "    max_in_flight: 4\n"
    "    telemetry:\n"
    "      - prometheus: http://127.0.0.1:9001/metrics\n"
    "        interval: 1s\n";

Test(config, the_promised_schema_loads)
{
    struct config *config = fixture_load_ok(promised);
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    cr_expect_eq(config->listen_len, 1);
    text_out_init(&out, buf, sizeof(buf));
    address_print(&config->listen[0], &out);
    cr_expect_str_eq(buf, "127.0.0.1:8080");
    cr_expect(config->has_admin);
    cr_expect_eq(config->workers, 0);
    cr_expect_eq(config->store.kind, STORE_EMBEDDED);
    cr_expect_str_eq(config->store.path, "/var/lib/meltguard");
    cr_expect_str_eq(config->policy.name, "policy");
    cr_assert_eq(config->backends_len, 1);
    const struct backend_conf *gpu0 = &config->backends[0];
    cr_expect_str_eq(gpu0->name, "gpu0");
    cr_expect_str_eq(gpu0->url.host_port, "127.0.0.1:9001");
    cr_expect_str_eq(gpu0->url.path, "");
    cr_expect_str_eq(gpu0->dialect, "openai");
    cr_expect_eq(gpu0->max_in_flight, 4);
    cr_expect_null(gpu0->probe_path);
    cr_assert_eq(gpu0->telemetry_len, 1);
    cr_expect_eq(gpu0->telemetry[0].kind, TELEMETRY_PROMETHEUS);
    cr_expect_str_eq(gpu0->telemetry[0].url.path, "/metrics");
    cr_expect_eq(gpu0->telemetry[0].interval_ms, 1000);
    config_unref(&config);
    cr_expect_null(config);
}

Test(config, identity_sources_are_in_order)
{
    struct config *config = fixture_load_ok(promised);
    const struct identity_source *source = config->identity;

    cr_assert_eq(config->identity_len, 4);
    cr_expect_eq(source[0].kind, IDENTITY_KEYFILE);
    cr_expect_eq(source[0].keys_len, 1);
    cr_expect_str_eq(source[0].keys[0].account, "alice");
    cr_expect_eq(source[0].keys[0].tier, 1);
    cr_expect_eq(source[1].kind, IDENTITY_HEADER);
    cr_expect_str_eq(source[1].account_header, "X-Account-Id");
    cr_expect_str_eq(source[1].tier_header, "X-Account-Tier");
    cr_expect_eq(source[1].tier, -1);
    cr_expect_eq(source[1].trust_len, 1);
    cr_expect_eq(source[1].trust[0].bits, 8);
    cr_expect_eq(source[2].kind, IDENTITY_BEARER);
    cr_expect_eq(source[2].tier, 0);
    cr_expect_eq(source[3].kind, IDENTITY_ADDRESS);
    cr_expect_eq(source[3].tier, 3);
    cr_expect_eq(source[3].prefix_v4, 32);
    cr_expect_eq(source[3].prefix_v6, 64);
    config_unref(&config);
}

Test(config, files_are_found_beside_the_one_that_names_them)
{
    struct config *config = NULL;

    fixture_write("main.yaml", promised);
    cr_assert_eq(config_load(fixture_path("main.yaml"), &fixture_known, FIXTURE_NOW_S,
                             fixture_error, &config),
                 ST_OK, "%s", fixture_error);
    cr_expect_str_eq(config->file, fixture_path("main.yaml"));
    config_unref(&config);
    cr_expect_eq(config_load(fixture_path("none.yaml"), &fixture_known, FIXTURE_NOW_S,
                             fixture_error, &config),
                 ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "none.yaml:1:1: No such file or directory, expected"));
    cr_expect_eq(
        fixture_load(MAIN_LISTEN MAIN_IDENTITY MAIN_BACKENDS "policies: no.yaml\n", &config),
        ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "main.yaml:4:11: "));
    cr_expect_not_null(strstr(fixture_error, "no.yaml: No such file or directory, expected"));
}

Test(config, everything_else_that_can_be_written)
{
    struct config *config = fixture_load_ok(
        "listen: [{address: 'localhost:0'}, {address: '[::1]:0'}, {address: '127.0.0.1:0'}]\n"
        "quota_store: redis://me:s%65cret@cache:7000/2\n" MAIN_POLICIES "identity:\n"
        "  - header: {account: X-Account, default_tier: plus, trust: [10.0.0.0/8, '::1']}\n"
        "  - address: {tier: free}\n"
        "  - header: {account: X-B, tier: X-T, team: X-C, default_tier: staff, trust: "
        "[10.0.0.0/8]}\n"
        "backends:\n"
        "  - {name: a, url: 'http://a/', dialect: openai}\n"
        "  - name: b\n"
        "    url: http://b:81/sd/\n"
        "    dialect: generic\n"
        "    probe: /health\n"
        "    telemetry: [{prometheus: 'http://b:9400'}, {prometheus: 'http://b:9401/m/', interval: "
        "250ms}]\n"
        "pass: [\"GET /v1/models\", 'OPTIONS /v1/*', GET /.well-known/x]\n"
        "trusted_proxies: [10.0.0.0/8]\n");

    cr_expect_eq(config->listen_len, 3);
    cr_expect_not(config->has_admin);
    cr_expect_str_eq(config->store.password, "secret");
    cr_expect_eq(config->identity[0].tier, 1);
    cr_expect_null(config->identity[0].tier_header);
    cr_expect_eq(config->identity[0].trust_len, 2);
    cr_expect_eq(config->identity[1].prefix_v6, 64);
    cr_expect_str_eq(config->identity[2].tier_header, "X-T");
    cr_expect_str_eq(config->identity[2].team_header, "X-C");
    cr_expect_null(config->identity[0].team_header);
    cr_expect_eq(config->identity[2].tier, 2);
    cr_expect_str_eq(config->backends[0].url.path, "");
    cr_expect_eq(config->backends[0].max_in_flight, 1);
    cr_expect_eq(config->backends[0].telemetry_len, 0);
    const struct backend_conf *b = &config->backends[1];
    cr_expect_str_eq(b->url.path, "/sd");
    cr_expect_str_eq(b->probe_path, "/health");
    cr_expect_str_eq(b->telemetry[0].url.path, "/metrics");
    cr_expect_eq(b->telemetry[0].interval_ms, 1000);
    cr_expect_str_eq(b->telemetry[1].url.path, "/m/");
    cr_expect_eq(b->telemetry[1].interval_ms, 250);
    cr_assert_eq(config->pass_len, 3);
    cr_expect_str_eq(config->pass[0].method, "GET");
    cr_expect_str_eq(config->pass[0].path, "/v1/models");
    cr_expect_str_eq(config->pass[1].path, "/v1/*");
    cr_expect_eq(config->trusted_proxies_len, 1);
    config_unref(&config);
}

#define IDENTITY(source) MAIN_LISTEN MAIN_POLICIES MAIN_BACKENDS "identity: [{" source "}]\n"
#define BACKEND(rest)                                                                              \
    MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY "backends: [{name: a, dialect: openai, " rest "}]\n"
#define URL "url: 'http://a', "

static const struct row {
    const char *text, *error;
} wrong[] = {
    {"", "1:1: nothing here, expected a mapping"},
    {"- a\n", "1:1: not a mapping, expected one with the keys"},
    {"lisen: []\n", "1:1: unknown key 'lisen', expected 'listen' perhaps"},
    {"<<: {}\n", "1:1: unknown key '<<', expected one of: listen, admin, quota_store, policies, "},
    {MAIN_POLICIES MAIN_IDENTITY MAIN_BACKENDS, "1:1: no key 'listen' here, expected a list"},
    {MAIN_LISTEN MAIN_IDENTITY MAIN_BACKENDS, "1:1: no key 'policies' here, expected the name of"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_BACKENDS, "1:1: no key 'identity' here, expected a list"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY, "1:1: no key 'backends' here, expected a list"},
    {"listen: []\n", "1:9: 0 addresses to listen at, expected 1 to 16"},
    {"listen: 127.0.0.1:80\n", "1:9: wrong value '127.0.0.1:80' for 'listen', expected a list"},
    {"listen: [127.0.0.1:80]\n", "1:10: a single value, expected a mapping with the key 'address'"},
    {"listen: [{address: 80}]\n", "1:20: wrong value '80' for 'address', expected address:port"},
    {"listen: [{address: 'example.org:80'}]\n", "1:20: wrong value 'example.org:80'"},
    {"listen: [{address: 'localhost'}]\n", "1:20: wrong value 'localhost'"},
    {"listen: [{address: 127.0.0.1:65536}]\n", "1:20: wrong value '127.0.0.1:65536'"},
    {"listen: [{address: '1.1.1.1:80'}, {address: '1.1.1.1:80'}]\n",
     "1:35: an address for the second"},
    {"listen: [{address: '127.0.0.1:80'}]\nadmin: {address: 'localhost:80'}\n",
     "2:8: an address for the second time, expected another one"},
    {MAIN_LISTEN "admin: {adress: '[::1]:80'}\n", "2:9: unknown key 'adress', expected 'address'"},
    {MAIN_FILE "quota_store: redis://me:hunter2@:1\n",
     "5:14: wrong host or port, expected redis://[user:password@]host[:port][/db]"},
    {MAIN_FILE "quota_store: {password: hunter2}\n", "5:14: a mapping for 'quota_store', expected"},
    {MAIN_FILE "quota_store:\n", "5:13: no such kind of store, expected embedded:///folder"},
    {MAIN_LISTEN MAIN_POLICIES "identity: []\n" MAIN_BACKENDS,
     "3:11: 0 identity sources, expected"},
    {IDENTITY("bearer: {accept: any, tier: gold}"),
     "4:41: wrong value 'gold' for 'tier', expected the name of a tier of the policy"},
    {IDENTITY("bearer: {accept: some, tier: free}"),
     "4:30: wrong value 'some' for 'accept', expected any"},
    {IDENTITY("bearer: {tier: free}"), "4:21: no key 'accept' here, expected any"},
    {IDENTITY("password: {tier: free}"),
     "4:13: unknown key 'password', expected one of: keyfile, keystore, header, bearer, address"},
    {IDENTITY(""), "4:12: 0 kinds in one source, expected one a list item"},
    {IDENTITY("bearer: {accept: any, tier: free}, address: {tier: free}"), "4:12: 2 kinds in one"},
    {IDENTITY("keyfile: none.yaml"), "4:22: "},
    {IDENTITY("keyfile: "), "4:22: no value for 'keyfile', expected the name of a file of keys"},
    {IDENTITY("header: {account: X-A, tier: X-T}"), "4:21: no key 'trust' here, expected a list"},
    {IDENTITY("header: {account: X-A, tier: X-T, trust: []}"), "4:54: an empty list for 'trust'"},
    {IDENTITY("header: {account: X-A, tier: X-T, trust: [all]}"),
     "4:55: wrong value 'all' for 'network'"},
    {IDENTITY("header: {account: X-A, tier: X-T, trust: [10.0.0.0/33]}"), "4:55: wrong value"},
    {IDENTITY("header: {account: X A, tier: X-T, trust: [10.0.0.0/8]}"), "4:31: wrong value 'X A'"},
    {IDENTITY("header: {account: X-A, trust: [10.0.0.0/8]}"), "4:21: no tier, expected 'tier'"},
    {IDENTITY("header: {account: X-A, tier: X-T, team: x-t, trust: [10.0.0.0/8]}"),
     "4:21: one header for the team"},
    {IDENTITY("header: {account: X-A, tier: X-T, team: x-a, trust: [10.0.0.0/8]}"),
     "4:21: one header for the team"},
    {IDENTITY("header: {account: X-A, tier: x-a, trust: [10.0.0.0/8]}"), "4:21: one header for"},
    {IDENTITY("address: {tier: free, prefix_v4: 33}"), "4:46: wrong value '33' for 'prefix_v4'"},
    {IDENTITY("address: {tier: free, prefix_v6: 0}"), "4:46: wrong value '0' for 'prefix_v6'"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY "backends: []\n",
     "4:11: 0 backends, expected 1 to 1024"},
    {BACKEND(""), "4:12: no key 'url' here, expected http://"},
    {BACKEND("url: 'https://a'"), "4:44: https is not supported yet, expected an http:// URL"},
    {BACKEND("url: 'http://me:hunter2@a'"), "4:44: a user in a URL, expected"},
    {BACKEND("url: 'http://a/?x=/'"), "4:44: a query in a backend's URL, expected"},
    {BACKEND("url: 'http://'"), "4:44: not an http URL, expected"},
    {BACKEND(URL "max_in_flight: 0"),
     "4:71: wrong value '0' for 'max_in_flight', expected a whole"},
    {BACKEND(URL "max_in_flight: 10001"), "4:71: wrong value '10001'"},
    {BACKEND(URL "probe: health"), "4:63: wrong value 'health' for 'probe', expected a path"},
    {BACKEND(URL "dialects: openai"), "4:56: unknown key 'dialects', expected 'dialect' perhaps"},
    {BACKEND(URL "telemetry: {}"), "4:67: a mapping for 'telemetry', expected a list"},
    {BACKEND(URL "telemetry: [{interval: 1s}]"), "4:68: no key 'prometheus' here, expected"},
    {BACKEND(URL "telemetry: [{prometheus: 'http://a', interval: 1}]"),
     "4:103: wrong value '1' for"},
    {BACKEND(URL "telemetry: [{prometheus: 'http://a', interval: 10s}]"),
     "4:68: readings would be stale"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
     "backends:\n- {name: a, url: 'http://a', dialect: sdxl}\n",
     "5:39: wrong value 'sdxl' for 'dialect', expected one of: openai, generic"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
     "backends:\n- {name: a b, url: 'http://a', dialect: openai}\n",
     "5:10: wrong value 'a b' for 'name', expected a name"},
    {MAIN_LISTEN MAIN_POLICIES MAIN_IDENTITY
     "backends:\n- {name: a, url: 'http://a', dialect: openai}\n"
     "- {name: a, url: 'http://b', dialect: openai}\n",
     "6:3: a second backend 'a', expected a name of its own"},
    {MAIN_FILE "pass: [/v1/models]\n", "5:8: wrong value '/v1/models' for 'pass', expected GET"},
    {MAIN_FILE "pass: [POST /v1/models]\n", "5:8: wrong value 'POST /v1/models' for 'pass'"},
    {MAIN_FILE "pass: [GET v1]\n", "5:8: wrong value"},
    {MAIN_FILE "pass: [GET /a*b]\n", "5:8: wrong value"},
    {MAIN_FILE "pass: [GET /a?b]\n", "5:8: wrong value"},
    {MAIN_FILE "pass: [GET /a/../b]\n", "5:8: wrong value"},
    {MAIN_FILE "pass: [GET /a/.]\n", "5:8: wrong value"},
    {MAIN_FILE "pass: ['GET ']\n", "5:8: wrong value"},
    {MAIN_FILE "pass: GET\n", "5:7: wrong value 'GET' for 'pass', expected a list"},
    {MAIN_FILE "trusted_proxies: [proxy.example]\n",
     "5:19: wrong value 'proxy.example' for 'network'"},
};

Test(config, what_is_wrong_is_said_with_its_place)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct config *config = NULL;
        char expected[256];
        snprintf(expected, sizeof(expected), "main.yaml:%s", wrong[i].error);
        fixture_error[0] = '\0';
        cr_expect_eq(fixture_load(wrong[i].text, &config), ST_INVALID, "%s", wrong[i].text);
        cr_expect_eq(strncmp(fixture_error, expected, strlen(expected)), 0,
                     "%s: got \"%s\", not \"%s\"", wrong[i].text, fixture_error, expected);
        cr_expect_not_null(strstr(fixture_error, "expected"), "%s", fixture_error);
        cr_expect_null(strstr(fixture_error, "hunter2"), "%s", fixture_error);
        cr_expect_null(config);
    }
}

Test(config, a_file_over_1_MiB_is_refused)
{
    size_t size = ((size_t)1 << 20) + 1;
    char *text = malloc(size + 1);
    struct config *config = NULL;

    memset(text, '#', size);
    text[size] = '\0';
    fixture_write("main.yaml", text);
    free(text);
    cr_expect_eq(config_load(fixture_path("main.yaml"), &fixture_known, FIXTURE_NOW_S,
                             fixture_error, &config),
                 ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "1048577 bytes long, expected at most 1048576"));
}

Test(config, a_generation_lives_until_its_last_reference)
{
    struct config *config = fixture_load_ok(MAIN_FILE);
    struct config *second = config_ref(config);

    config_unref(&config);
    cr_expect_null(config);
    cr_expect_str_eq(second->backends[0].name, "gpu0");
    struct config *next = fixture_load_ok(MAIN_FILE);
    cr_expect_gt(next->generation, second->generation);
    config_unref(&next);
    config_unref(&second);
    config_unref(&second);
}

Test(config, an_error_longer_than_its_room_is_cut)
{
    char name[4096];
    struct config *config = NULL;

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    cr_expect_eq(config_load_text(name, TEXT("x: 1\n"), &fixture_known, 0, fixture_error, &config),
                 ST_INVALID);
    cr_expect_eq(strlen(fixture_error), CONFIG_ERROR_MAX - 1);
}
