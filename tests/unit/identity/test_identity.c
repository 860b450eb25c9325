/* SPDX-License-Identifier: Apache-2.0 */
/* test_identity.c - which account asks: each source, their order, and every way to get it wrong. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "identity/source.h"

/* The keys of the two accounts in the file. */
#define ALICE "key-alice"
#define BOB   "key-bob"

static struct key_entry keys[2];
static struct config config;
static struct http_head head;
static struct address peer, client;

static void make_keys(void)
{
    keys[0] = (struct key_entry){.account = "alice", .tier = 1};
    identity_sha256(TEXT(ALICE), keys[0].sha256);
    keys[1] = (struct key_entry){.account = "bob", .tier = 2};
    identity_sha256(TEXT(BOB), keys[1].sha256);
    if (memcmp(keys[0].sha256, keys[1].sha256, 32) > 0) {
        struct key_entry swapped = keys[0];
        keys[0] = keys[1];
        keys[1] = swapped;
    }
}

static void set_up(void)
{
    memset(&config, 0, sizeof(config));
    memset(&head, 0, sizeof(head));
    make_keys();
    config.policy.tiers_len = 3;
    config.policy.tiers[0].name = "free";
    config.policy.tiers[1].name = "plus";
    config.policy.tiers[2].name = "staff";
    cr_assert_eq(address_parse(TEXT("10.1.2.3:4000"), &peer), ST_OK);
    cr_assert_eq(address_parse(TEXT("192.0.2.7:5000"), &client), ST_OK);
}

static struct identity_source *add_source(enum identity_kind kind)
{
    struct identity_source *source = &config.identity[config.identity_len++];

    source->kind = kind;
    source->tier = -1;
    return source;
}

static void add_keyfile(void)
{
    struct identity_source *source = add_source(IDENTITY_KEYFILE);

    source->keys = keys;
    source->keys_len = 2;
}

static struct identity_source *add_header_source(const char *tier_header)
{
    struct identity_source *source = add_source(IDENTITY_HEADER);

    source->account_header = "X-Account-Id";
    source->tier_header = tier_header;
    source->trust_len = 1;
    cr_assert_eq(address_prefix_parse(TEXT("10.0.0.0/8"), &source->trust[0]), ST_OK);
    return source;
}

static void add_bearer(void)
{
    add_source(IDENTITY_BEARER)->tier = 0;
}

static struct identity_source *add_address(int v4, int v6)
{
    struct identity_source *source = add_source(IDENTITY_ADDRESS);

    source->tier = 0;
    source->prefix_v4 = v4;
    source->prefix_v6 = v6;
    return source;
}

static void add_field(const char *name, struct text value)
{
    head.fields[head.fields_len++] = (struct http_field){.name = text_of(name), .value = value};
}

/* As the parser does, from the names and values that the fields were given. */
static void build_head(void)
{
    struct http_head sent = head;

    head_clear(&head);
    for (int i = 0; i < sent.fields_len; i++)
        head_add(&head, sent.fields[i].name, sent.fields[i].value);
}

static struct identity_found resolve(enum status expected, enum identity_fault expected_fault)
{
    struct identity_wait wait = {.source = 0};
    struct address_short near = address_shorten(&peer);
    struct address_short from = address_shorten(&client);
    struct identity_ask ask = {&config, &head, &near, &from, NULL, &wait};
    struct identity_found found = {.kind = IDENTITY_NONE};
    enum identity_fault fault = IDENTITY_FAULT_NONE;
    struct op op = {.done = NULL};

    build_head();
    enum status st = identity_resolve(&ask, &found, &fault, &op);
    cr_assert_eq(st, expected, "%s, fault %d", status_name(st), fault);
    cr_assert_eq(fault, expected_fault, "fault %d", fault);
    return found;
}

static void expect_account(const char *id, int tier, enum identity_kind kind, bool hides_key)
{
    struct identity_found found = resolve(ST_OK, IDENTITY_FAULT_NONE);

    cr_assert_str_eq(found.account.id, id);
    cr_assert_eq(found.account.tier, tier);
    cr_assert_eq(found.kind, kind);
    cr_assert_eq(found.hides_key, hides_key);
}

static void expect_fault(enum identity_fault fault)
{
    (void)resolve(ST_REFUSED, fault);
}

TestSuite(identity, .init = set_up);

Test(identity, digest_is_a_cut_sha256)
{
    /* FIPS 180-2, B.1: SHA-256("abc"). */
    static const unsigned char abc[16] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                          0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23};
    static const unsigned char none[16] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                           0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24};

    for (int i = 0; i < 3; i++)
        cr_assert_arr_eq(identity_digest(TEXT("abc")).bytes, abc, 16);
    cr_assert_arr_eq(identity_digest(TEXT_NONE).bytes, none, 16);
}

static void *digest_in_thread(void *out)
{
    *(struct account_digest *)out = identity_digest(TEXT("abc"));
    return NULL;
}

Test(identity, digest_works_in_every_thread)
{
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        struct account_digest digest;
        cr_assert_eq(pthread_create(&thread, NULL, digest_in_thread, &digest), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_arr_eq(digest.bytes, identity_digest(TEXT("abc")).bytes, 16);
    }
}

Test(identity, keyfile_knows_its_keys)
{
    add_keyfile();
    add_field("Authorization", TEXT("Bearer " ALICE));
    expect_account("alice", 1, IDENTITY_KEYFILE, true);
    head.fields[0].value = TEXT("bEARER   " BOB);
    expect_account("bob", 2, IDENTITY_KEYFILE, true);
    head.fields[0] = (struct http_field){.name = TEXT("x-api-key"), .value = TEXT(BOB)};
    expect_account("bob", 2, IDENTITY_KEYFILE, true);
    head.fields[0].value = TEXT("key-eve");
    expect_fault(IDENTITY_FAULT_BAD_KEY);
}

Test(identity, keyfile_account_has_the_digest_of_its_id)
{
    add_keyfile();
    add_field("x-api-key", TEXT(ALICE));
    struct identity_found found = resolve(ST_OK, IDENTITY_FAULT_NONE);
    cr_assert_arr_eq(found.account.digest.bytes, identity_digest(TEXT("alice")).bytes, 16);
}

Test(identity, an_empty_keyfile_knows_nobody)
{
    add_source(IDENTITY_KEYFILE);
    add_field("x-api-key", TEXT(ALICE));
    expect_fault(IDENTITY_FAULT_BAD_KEY);
}

Test(identity, no_key_is_missing_and_other_schemes_are_bad_keys)
{
    add_keyfile();
    add_bearer();
    expect_fault(IDENTITY_FAULT_MISSING);
    add_field("Authorization", TEXT("Basic dXNlcjpwYXNz"));
    expect_fault(IDENTITY_FAULT_BAD_KEY);
    head.fields[0].value = TEXT("Bearer2 x");
    expect_fault(IDENTITY_FAULT_BAD_KEY);
    head.fields[0].value = TEXT(ALICE); /* a bare key reads as a scheme */
    expect_fault(IDENTITY_FAULT_BAD_KEY);
}

Test(identity, refuses_what_is_no_token)
{
    static const char *const values[] = {
        "Bearer",     "Bearer ",  "",           "Bearer a b",        "Bearer a,b", "Bearer \"a\"",
        "Bearer a:b", "Bearer =", "Bearer a=b", "Bearer k\xc3\xa9y", "Bearer a\tb"};
    add_keyfile();
    add_bearer();
    add_address(32, 64);
    add_field("authorization", TEXT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        head.fields[0].value = text_of(values[i]);
        expect_fault(IDENTITY_FAULT_MALFORMED);
    }
    head.fields[0].name = TEXT("X-API-Key");
    head.fields[0].value = TEXT("");
    expect_fault(IDENTITY_FAULT_MALFORMED);
    head.fields[0].value = TEXT("Bearer x");
    expect_fault(IDENTITY_FAULT_MALFORMED);
}

/* b64token of RFC 6750 2.1. */
Test(identity, knows_the_characters_of_tokens)
{
    static const char chars[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~+/";
    char token[2] = "a";

    add_bearer();
    add_field("x-api-key", (struct text){token, 2});
    for (int byte = 1; byte < 256; byte++) {
        token[1] = (char)byte;
        if (strchr(chars, byte) || byte == '=')
            (void)resolve(ST_OK, IDENTITY_FAULT_NONE);
        else
            expect_fault(IDENTITY_FAULT_MALFORMED);
    }
}

Test(identity, bounds_tokens)
{
    static char token[CREDENTIAL_MAX + 1];

    memset(token, 'x', sizeof(token));
    add_bearer();
    add_field("x-api-key", (struct text){token, CREDENTIAL_MAX});
    (void)resolve(ST_OK, IDENTITY_FAULT_NONE);
    head.fields[0].value.len++;
    expect_fault(IDENTITY_FAULT_MALFORMED);
}

Test(identity, refuses_two_credentials_unless_they_are_the_same)
{
    add_keyfile();
    add_field("Authorization", TEXT("Bearer " ALICE));
    add_field("x-api-key", TEXT(ALICE));
    expect_account("alice", 1, IDENTITY_KEYFILE, true);
    head.fields[1].value = TEXT(BOB);
    expect_fault(IDENTITY_FAULT_MALFORMED);
    head.fields[1].value = TEXT("");
    expect_fault(IDENTITY_FAULT_MALFORMED);
    head.fields[0].value = TEXT("Basic " ALICE);
    head.fields[1].value = TEXT(ALICE);
    expect_fault(IDENTITY_FAULT_MALFORMED);
    head.fields[0].value = TEXT("Bearer " ALICE);
    head.fields[1].name = TEXT("authorization");
    head.fields[1].value = TEXT("Bearer " ALICE);
    expect_fault(IDENTITY_FAULT_MALFORMED);
    head.fields[0].name = head.fields[1].name = TEXT("x-api-key");
    expect_fault(IDENTITY_FAULT_MALFORMED);
}

Test(identity, header_names_account_and_tier)
{
    add_header_source("X-Account-Tier")->tier = -1;
    add_field("x-account-id", TEXT("team-7/carol"));
    add_field("x-account-tier", TEXT("staff"));
    expect_account("team-7/carol", 2, IDENTITY_HEADER, false);
}

Test(identity, header_of_a_stranger_does_not_apply)
{
    add_header_source(NULL)->tier = 1;
    add_bearer();
    add_field("x-account-id", TEXT("carol"));
    cr_assert_eq(address_parse(TEXT("192.0.2.1:1"), &peer), ST_OK);
    expect_fault(IDENTITY_FAULT_MISSING);
    cr_assert_eq(address_parse(TEXT("[::ffff:10.9.9.9]:1"), &peer), ST_OK);
    expect_account("carol", 1, IDENTITY_HEADER, false);
    cr_assert_eq(address_parse(TEXT("unix:/run/x.sock"), &peer), ST_OK);
    expect_fault(IDENTITY_FAULT_MISSING);
}

Test(identity, header_tier_falls_back_only_when_there_is_none)
{
    struct identity_source *source = add_header_source("X-Account-Tier");

    add_field("x-account-id", TEXT("carol"));
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    source->tier = 0;
    expect_account("carol", 0, IDENTITY_HEADER, false);
    add_field("x-account-tier", TEXT("gold"));
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    head.fields[1].value = TEXT("");
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    head.fields[1].value = TEXT("plus");
    expect_account("carol", 1, IDENTITY_HEADER, false);
    add_field("x-account-tier", TEXT("plus"));
    expect_fault(IDENTITY_FAULT_BAD_TIER);
}

Test(identity, header_team_is_one_of_the_policy_or_none)
{
    static struct team teams[] = {{.name = "acme"}, {.name = "umbrella"}};
    struct identity_source *source = add_header_source(NULL);

    config.policy.teams_len = 2;
    config.policy.teams = teams;
    source->tier = 0;
    source->team_header = "X-Account-Team";
    add_field("x-account-id", TEXT("carol"));
    cr_expect_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).account.team, -1);
    add_field("x-account-team", TEXT("umbrella"));
    cr_expect_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).account.team, 1);
    head.fields[1].value = TEXT("nobody");
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    head.fields[1].value = TEXT("acme");
    add_field("x-account-team", TEXT("acme"));
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    source->team_header = NULL;
    cr_expect_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).account.team, -1);
}

Test(identity, keyfile_names_team_and_zone)
{
    static const struct zone berlin;

    add_keyfile();
    for (int i = 0; i < 2; i++) {
        keys[i].team = 1;
        keys[i].zone = &berlin;
    }
    add_field("x-api-key", TEXT(ALICE));
    struct account account = resolve(ST_OK, IDENTITY_FAULT_NONE).account;
    cr_expect_eq(account.team, 1);
    cr_expect_eq(account.zone, &berlin);
}

Test(identity, bearer_and_address_are_in_no_team)
{
    add_bearer();
    add_address(32, 64);
    cr_expect_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).account.team, -1);
    add_field("x-api-key", TEXT("token"));
    cr_expect_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).account.team, -1);
}

Test(identity, header_account_must_be_one_plain_word)
{
    static char longest[ACCOUNT_ID_MAX + 1];
    static const char *const ids[] = {"", "a b", "a\tb", "\x7f", "caf\xc3\xa9", "a\x01"};

    memset(longest, 'a', sizeof(longest));
    add_header_source(NULL)->tier = 1;
    add_address(32, 64);
    add_field("x-account-id", TEXT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        head.fields[0].value = text_of(ids[i]);
        expect_fault(IDENTITY_FAULT_BAD_TIER);
    }
    head.fields[0].value = (struct text){longest, ACCOUNT_ID_MAX};
    cr_assert_eq(strlen(resolve(ST_OK, IDENTITY_FAULT_NONE).account.id), ACCOUNT_ID_MAX);
    head.fields[0].value.len++;
    expect_fault(IDENTITY_FAULT_BAD_TIER);
    head.fields[0].value = TEXT("a");
    add_field("x-account-id", TEXT("a"));
    expect_fault(IDENTITY_FAULT_BAD_TIER);
}

Test(identity, header_does_not_mind_what_key_is_passed_on)
{
    add_header_source(NULL)->tier = 1;
    add_field("x-account-id", TEXT("carol"));
    add_field("authorization", TEXT("Basic a:b,c"));
    expect_account("carol", 1, IDENTITY_HEADER, false);
}

Test(identity, bearer_makes_an_account_of_each_token)
{
    add_bearer();
    add_field("authorization", TEXT("Bearer abc"));
    struct identity_found abc = resolve(ST_OK, IDENTITY_FAULT_NONE);
    cr_assert_str_eq(abc.account.id, "bearer:ba7816bf8f01cfea");
    cr_assert_eq(abc.kind, IDENTITY_BEARER);
    cr_assert(!abc.hides_key);
    head.fields[0].value = TEXT("Bearer abd");
    struct identity_found abd = resolve(ST_OK, IDENTITY_FAULT_NONE);
    cr_assert_arr_neq(abc.account.digest.bytes, abd.account.digest.bytes, 16);
    /* A token that reads like another account's id must not meet that account. */
    cr_assert_arr_neq(abc.account.digest.bytes, identity_digest(TEXT("abc")).bytes, 16);
    struct account_digest second_half;
    cr_assert_eq(text_unhex(TEXT("b00361a396177a9cb410ff61f20015ad"), second_half.bytes, 16),
                 ST_OK);
    cr_assert_arr_eq(abc.account.digest.bytes, second_half.bytes, 16);
}

Test(identity, address_is_cut_to_its_prefix)
{
    static const struct {
        const char *client;
        int v4, v6;
        const char *id;
    } cases[] = {
        {"192.0.2.7:5000", 32, 64, "ip:192.0.2.7"},
        {"192.0.2.7:5000", 24, 64, "ip:192.0.2.0/24"},
        {"192.0.2.7:5000", 0, 64, "ip:0.0.0.0/0"},
        {"[::ffff:192.0.2.7]:5000", 32, 64, "ip:192.0.2.7"},
        {"[2001:db8::1:2:3:4]:5000", 32, 64, "ip:2001:db8::/64"},
        {"[2001:db8::1:2:3:4]:5000", 32, 128, "ip:2001:db8::1:2:3:4"},
        {"[2001:db8:ffff:ffff::1]:5000", 32, 56, "ip:2001:db8:ffff:ff00::/56"},
        {"unix:/run/x.sock", 32, 64, "ip:unix"},
    };
    struct identity_source *source = add_address(0, 0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        cr_assert_eq(address_parse(text_of(cases[i].client), &client), ST_OK);
        source->prefix_v4 = cases[i].v4;
        source->prefix_v6 = cases[i].v6;
        expect_account(cases[i].id, 0, IDENTITY_ADDRESS, false);
    }
}

Test(identity, address_applies_only_without_a_key)
{
    add_keyfile();
    add_address(32, 64);
    expect_account("ip:192.0.2.7", 0, IDENTITY_ADDRESS, false);
    add_field("x-api-key", TEXT("key-eve"));
    expect_fault(IDENTITY_FAULT_BAD_KEY);
}

Test(identity, sources_are_tried_in_their_order)
{
    add_keyfile();
    add_header_source(NULL)->tier = 2;
    add_bearer();
    add_address(32, 64);
    expect_account("ip:192.0.2.7", 0, IDENTITY_ADDRESS, false);
    add_field("x-account-id", TEXT("carol"));
    expect_account("carol", 2, IDENTITY_HEADER, false);
    add_field("x-api-key", TEXT(ALICE));
    expect_account("alice", 1, IDENTITY_KEYFILE, true);
    head.fields[1].value = TEXT("key-eve");
    expect_account("carol", 2, IDENTITY_HEADER, false);
    head.fields[0].name = TEXT("x-other");
    cr_assert_eq(resolve(ST_OK, IDENTITY_FAULT_NONE).kind, IDENTITY_BEARER);
}

Test(identity, without_sources_everybody_is_a_stranger)
{
    expect_fault(IDENTITY_FAULT_MISSING);
}
