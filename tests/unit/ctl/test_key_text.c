/* SPDX-License-Identifier: Apache-2.0 */
/* test_key_text.c - edits of files of keys that leave all else as it was. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/key_text.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static char why[KEY_WHY_MAX];
static const struct key_item bob = {
    .sha256 = A64, .account = "bob", .tier = "free", .team = "", .timezone = ""};

static void expect_added(const char *before, const char *after)
{
    char *made = NULL;

    cr_assert_eq(key_text_add(text_of(before), &bob, &made, why), ST_OK, "%s: %s", before, why);
    cr_expect_str_eq(made, after);
    free(made);
}

static void expect_removed(const char *before, int index, const char *after)
{
    char *made = NULL;

    cr_assert_eq(key_text_remove(text_of(before), index, &made, why), ST_OK, "%s: %s", before, why);
    cr_expect_str_eq(made, after);
    free(made);
}

#define BOB "{sha256: " A64 ", account: bob, tier: free}"

Test(key_text, adds_to_every_style_of_list)
{
    expect_added("", "keys:\n  - " BOB "\n");
    expect_added("# mine\n", "# mine\nkeys:\n  - " BOB "\n");
    expect_added("keys:\n", "keys:\n  - " BOB "\n");
    expect_added("keys:", "keys:\n  - " BOB "\n");
    expect_added("keys: []\n", "keys: [" BOB "]\n");
    expect_added("keys:\n  []\n", "keys:\n  [" BOB "]\n");
    expect_added("keys:\n- {sha256: b}\n", "keys:\n- {sha256: b}\n- " BOB "\n");
    expect_added("keys:\n   - {sha256: b} # b's\n# end\n",
                 "keys:\n   - {sha256: b} # b's\n   - " BOB "\n# end\n");
    expect_added("keys:\n  - sha256: b\n    account: \"\xc3\xa9\"\n    tier: t\n\n# end",
                 "keys:\n  - sha256: b\n    account: \"\xc3\xa9\"\n    tier: t\n  - " BOB
                 "\n\n# end");
    expect_added("keys:\n  - {sha256: b}", "keys:\n  - {sha256: b}\n  - " BOB "\n");
    expect_added("# \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4\nkeys: [{sha256: b}]\n",
                 "# \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4\nkeys: [{sha256: b}, " BOB "]\n");
    expect_added("{\"keys\": [{\"sha256\": \"b\"}]}\n",
                 "{\"keys\": [{\"sha256\": \"b\"}, {\"sha256\": \"" A64
                 "\", \"account\": \"bob\", \"tier\": \"free\"}]}\n");
}

Test(key_text, names_that_need_it_are_quoted)
{
    struct key_item item = {.sha256 = A64,
                            .account = "a: \"{#\\",
                            .tier = "t-1",
                            .team = "acme",
                            .timezone = "Europe/Berlin"};
    char *made = NULL;

    cr_assert_eq(key_text_add(TEXT(""), &item, &made, why), ST_OK, "%s", why);
    cr_expect_str_eq(made, "keys:\n  - {sha256: " A64
                           ", account: \"a: \\\"{#\\\\\", tier: t-1, team: acme, "
                           "timezone: \"Europe/Berlin\"}\n");
    free(made);
}

Test(key_text, removes_from_every_style_of_list)
{
    expect_removed("keys:\n  # first\n  - {sha256: a}\n  # second\n  - {sha256: b} # bye\n# end\n",
                   1, "keys:\n  # first\n  - {sha256: a}\n  # second\n# end\n");
    expect_removed("keys:\n  - {sha256: a}\n  - sha256: b\n    tier: t\n  - {sha256: c}", 1,
                   "keys:\n  - {sha256: a}\n  - {sha256: c}");
    expect_removed("keys:\n  - {sha256: a}\n", 0, "keys:\n  []\n");
    expect_removed("keys: [{sha256: a}, {sha256: b}, {sha256: c}]", 0,
                   "keys: [{sha256: b}, {sha256: c}]");
    expect_removed("keys: [{sha256: a}, {sha256: b}, {sha256: c}]", 2,
                   "keys: [{sha256: a}, {sha256: b}]");
    expect_removed("{\"keys\": [{\"sha256\": \"b\"}]}", 0, "{\"keys\": []}");
}

static void expect_refused(const char *text, const char *part)
{
    char *made = NULL;

    cr_expect_eq(key_text_add(text_of(text), &bob, &made, why), ST_INVALID, "%s", text);
    cr_expect_not_null(strstr(why, part), "%s: %s", text, why);
    free(made);
}

Test(key_text, refuses_what_is_no_file_of_keys)
{
    expect_refused("\xef\xbb\xbfkeys: []", "byte order mark");
    expect_refused("keys: 3", "keys is not a list");
    expect_refused("keys: {a: b}", "keys is not a list");
    expect_refused("other: []", "expected keys");
    expect_refused("keys: []\nmore: 1\n", "nothing but keys");
    expect_refused("keys: [a]", "line 1: expected {sha256");
    expect_refused("- a", "not a mapping");
    expect_refused("keys:\n  - {sha256: [a]}", "line 2: a key's");
    expect_refused("keys: [", "line ");
    expect_refused("keys: []\n--- {}\n", "a second document");
}

/* The "-" on a line of its own: cutting the item's lines would leave it behind. */
Test(key_text, what_cannot_be_edited_safely_is_refused)
{
    char *made = NULL;

    cr_expect_eq(
        key_text_remove(TEXT("keys:\n  -\n    sha256: a\n  - {sha256: b}\n"), 0, &made, why),
        ST_INVALID);
    cr_expect_not_null(strstr(why, "by hand"), "%s", why);
    cr_expect_null(made);
}
