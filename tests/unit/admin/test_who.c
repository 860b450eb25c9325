/* SPDX-License-Identifier: Apache-2.0 */
/* test_who.c - whom an id means. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "admin/who.h"
#include "identity/identity.h"

#define HEX16 "0123456789abcdef"
#define REST  "fedcba98765432100123456789abcdef" /* the second half */
#define HEX64 HEX16 HEX16 REST

static struct config config;
static struct key_entry keys[2];
static struct team teams[] = {{.name = "acme"}};
static struct zone berlin;
static char why[API_WHY_MAX];

static void begin(void)
{
    memset(&config, 0, sizeof(config));
    config.policy.tiers_len = 3;
    config.policy.tiers[0].name = "free";
    config.policy.tiers[1].name = "plus";
    config.policy.tiers[2].name = "staff";
    config.policy.teams_len = 1;
    config.policy.teams = teams;
    keys[0] = (struct key_entry){.account = "alice", .tier = 1, .team = 0, .zone = &berlin};
    config.identity_len = 3;
    config.identity[0] =
        (struct identity_source){.kind = IDENTITY_KEYFILE, .keys = keys, .keys_len = 1};
    config.identity[1] = (struct identity_source){.kind = IDENTITY_BEARER, .tier = 2};
    config.identity[2] = (struct identity_source){.kind = IDENTITY_ADDRESS, .tier = 0};
}

TestSuite(who, .init = begin);

static enum status find(const char *id, const struct api_query *query, struct account *out)
{
    struct api_query none = {.tier = ""};
    struct top_list nobody = {.len = 0};

    return who_find(&config, &nobody, text_of(id), query ? query : &none, out, why);
}

Test(who, a_keyfile_names_tier_team_and_zone)
{
    struct account account;

    cr_assert_eq(find("alice", NULL, &account), ST_OK);
    cr_expect_eq(account.tier, 1);
    cr_expect_eq(account.team, 0);
    cr_expect_eq(account.zone, &berlin);
    struct account_digest digest = identity_digest(TEXT("alice"));
    cr_expect_eq(memcmp(&account.digest, &digest, sizeof(digest)), 0);
}

Test(who, the_query_comes_first)
{
    struct api_query query = {.tier = "staff", .team = "acme"};
    struct account account;

    cr_assert_eq(find("alice", &query, &account), ST_OK);
    cr_expect_eq(account.tier, 2);
    cr_assert_eq(find("bob", &query, &account), ST_OK);
    cr_expect_eq(account.team, 0);
    cr_expect_null(account.zone);
}

/* Its digest is the second half; people see the beginning of the first. */
Test(who, a_bearer_by_all_its_digits)
{
    struct account account;

    cr_assert_eq(find("bearer:" HEX64, NULL, &account), ST_OK);
    cr_expect_str_eq(account.id, "bearer:" HEX16);
    cr_expect_eq(account.tier, 2);
    struct account_digest digest;
    cr_assert_eq(text_unhex(TEXT(REST), digest.bytes, sizeof(digest.bytes)), ST_OK);
    cr_expect_eq(memcmp(&account.digest, &digest, sizeof(digest)), 0);
    cr_expect_eq(find("bearer:" HEX16, NULL, &account), ST_REFUSED);
    cr_expect_not_null(strstr(why, "all 64 digits"));
}

Test(who, an_address_has_the_tier_of_its_source)
{
    struct account account;

    cr_assert_eq(find("ip:192.0.2.7", NULL, &account), ST_OK);
    cr_expect_eq(account.tier, 0);
    cr_expect_eq(account.team, -1);
}

Test(who, the_header_source_has_a_tier_only_by_default)
{
    struct account account;

    cr_expect_eq(find("bob", NULL, &account), ST_REFUSED);
    config.identity[2] = (struct identity_source){.kind = IDENTITY_HEADER, .tier = -1};
    cr_expect_eq(find("bob", NULL, &account), ST_REFUSED);
    config.identity[2].tier = 0;
    cr_expect_eq(find("bob", NULL, &account), ST_OK);
}

Test(who, the_seen_one_keeps_its_digest)
{
    struct top_entry entry = {.account = {.id = "bearer:" HEX16, .tier = 2, .digest = {{7}}},
                              .generation = 0};
    struct top_list seen = {1, &entry, 0};
    struct api_query none = {.tier = ""};
    struct account account;

    cr_assert_eq(who_find(&config, &seen, TEXT("bearer:" HEX16), &none, &account, why), ST_OK);
    cr_expect_eq(account.digest.bytes[0], 7);
}
