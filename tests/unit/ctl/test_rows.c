/* SPDX-License-Identifier: Apache-2.0 */
/* test_rows.c - answers as rows, and rows as a table. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ctl/rows.h"

static const struct column columns[] = {{"name", "NAME", false}, {"n", "N", true}};

static const char json[] = "{\"account\":\"al\\\"ice\",\"team\":null,\"skip\":[{\"name\":\"no\"}],"
                           "\"rows\":[{\"n\":7,\"name\":\"a\",\"more\":{\"name\":\"inner\"}},"
                           "{\"name\":\"longer\",\"x\":1},{\"n\":null,\"name\":true}],\"n\":3}";

Test(rows, reads_the_named_array_alone)
{
    struct rows rows;

    cr_assert_eq(rows_read(text_of(json), "rows", columns, 2, &rows), ST_OK);
    cr_assert_eq(rows.len, 3);
    cr_expect_str_eq(rows_cell(&rows, 0, 0), "a");
    cr_expect_str_eq(rows_cell(&rows, 0, 1), "7");
    cr_expect_str_eq(rows_cell(&rows, 1, 0), "longer");
    cr_expect_str_eq(rows_cell(&rows, 1, 1), "");
    cr_expect_str_eq(rows_cell(&rows, 2, 0), "yes");
    cr_expect_str_eq(rows_cell(&rows, 2, 1), "");
    rows_free(&rows);
}

Test(rows, prints_a_table)
{
    struct rows rows;
    char *out = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&out, &len);

    cr_assert_eq(rows_read(text_of(json), "rows", columns, 2, &rows), ST_OK);
    rows_print(&rows, file);
    fclose(file);
    cr_expect_str_eq(out, "NAME    N\na       7\nlonger   \nyes      \n");
    free(out);
    rows_free(&rows);
}

static void expect_member(const char *name, const char *value)
{
    char *found = rows_member(text_of(json), name);

    cr_expect_str_eq(found, value);
    free(found);
}

Test(rows, finds_members)
{
    expect_member("account", "al\"ice");
    expect_member("team", "");
    expect_member("n", "3");
    expect_member("missing", "");
}

Test(rows, what_is_no_such_answer_is_refused)
{
    struct rows rows;

    cr_expect_eq(rows_read(TEXT("[]"), "rows", columns, 2, &rows), ST_INVALID);
    cr_expect_eq(rows_read(TEXT("{\"rows\":3}"), "rows", columns, 2, &rows), ST_INVALID);
    cr_expect_eq(rows_read(TEXT("{\"rows\":[{\"n\":1}"), "rows", columns, 2, &rows), ST_INVALID);
    cr_expect_eq(rows_read(TEXT("<html>"), "rows", columns, 2, &rows), ST_INVALID);
}
