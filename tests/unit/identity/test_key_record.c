/* SPDX-License-Identifier: Apache-2.0 */
/* test_key_record.c - records there and back, and what is none. */
#include <criterion/criterion.h>
#include <string.h>

#include "identity/identity.h"

static const char *printed(const struct key_record *record)
{
    static char buf[KEY_VALUE_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    key_record_print(record, &out);
    cr_assert(!out.is_full);
    return buf;
}

static void expect_back(const struct key_record *record)
{
    struct key_record back;

    cr_assert_eq(key_record_read(text_of(printed(record)), &back), ST_OK);
    cr_expect_str_eq(back.account, record->account);
    cr_expect_str_eq(back.tier, record->tier);
    cr_expect_str_eq(back.team, record->team);
    cr_expect_str_eq(back.zone, record->zone);
    cr_expect_str_eq(back.created, record->created);
    cr_expect_str_eq(back.label, record->label);
}

Test(key_record, there_and_back)
{
    struct key_record record = {"alice",         "plus",       "red",
                                "Europe/Berlin", "2026-11-22", "laptop  of Alice"};

    cr_expect_str_eq(printed(&record),
                     "1 alice plus red Europe/Berlin 2026-11-22 laptop  of Alice");
    expect_back(&record);
}

Test(key_record, an_account_may_be_called_as_nothing_is)
{
    struct key_record record = {.account = "-", .tier = "free"};

    cr_expect_str_eq(printed(&record), "1 - free - - -");
    expect_back(&record);
}

Test(key_record, the_longest)
{
    struct key_record record;

    memset(&record, 'x', sizeof(record));
    record.account[ACCOUNT_ID_MAX] = record.tier[KEY_NAME_MAX] = record.team[KEY_NAME_MAX] = '\0';
    record.zone[KEY_NAME_MAX] = record.created[KEY_CREATED_LEN] = record.label[KEY_LABEL_MAX] =
        '\0';
    expect_back(&record);
}

Test(key_record, what_is_none)
{
    static const char *const wrong[] = {
        "",
        "1",
        "1 alice",
        "1 alice plus -",
        "1 alice plus - -",
        "2 alice plus - - 2026-11-22",
        "1  plus - - 2026-11-22",
        "1 alice plus - - 2026-11-22T00:00:00Z",
        "1 alice plus - - 2026-11-22 "
        "0123456789012345678901234567890123456789012345678901234567890123456789",
    };
    struct key_record record;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        cr_expect_eq(key_record_read(text_of(wrong[i]), &record), ST_INVALID, "%s", wrong[i]);
}

Test(key_record, places)
{
    unsigned char sha256[KEY_SHA256_LEN] = {0x12, 0x34, 0xff};
    struct account_digest digest = {{0xff, 0xff, 3}};
    unsigned char field[KEY_INDEX_LEN];
    char buf[KEY_PLACE_MAX];

    cr_expect_eq(key_bucket(sha256), 0x1234);
    cr_expect_eq(key_account_bucket(&digest), KEY_BUCKETS - 1);
    cr_expect(text_equal(key_place(65535, 'k', buf), TEXT("mg:{65535}:k")));
    cr_expect(text_equal(key_place(0, 'a', buf), TEXT("mg:{0}:a")));
    key_index_field(&digest, sha256, field);
    cr_expect_eq(memcmp(field, digest.bytes, KEY_INDEX_PREFIX), 0);
    cr_expect_eq(memcmp(field + KEY_INDEX_PREFIX, sha256, KEY_SHA256_LEN), 0);
}
