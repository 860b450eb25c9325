/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <criterion/criterion.h>

#include "config/parse.h"
#include "unit/config/fixture.h"

static struct reader r;
static struct config_memory *memory;

static void setup(void)
{
    memory = config_memory_new();
    cr_assert_not_null(memory);
    reader_init(&r, memory, NULL, 0, fixture_error);
}

static void teardown(void)
{
    reader_fini(&r);
    config_memory_free(&memory);
}

TestSuite(parse, .init = setup, .fini = teardown);

Test(parse, nodes_know_their_places)
{
    const struct node *root;

    cr_assert_eq(
        parse_text(&r, "f", TEXT("a: 1\nlist:\n  - x\n  - {b: 'two words', c: []}\n"), &root),
        ST_OK);
    cr_expect_eq(root->kind, NODE_MAPPING);
    cr_expect_eq(root->len, 2);
    const struct node *list = node_find(root, TEXT("list"));
    cr_assert_not_null(list);
    cr_expect_eq(list->kind, NODE_LIST);
    cr_expect_eq(list->len, 2);
    cr_expect_eq(list->key->line, 2);
    const struct node *b = node_find(list->last, TEXT("b"));
    cr_assert_not_null(b);
    cr_expect_str_eq(b->text.ptr, "two words");
    cr_expect_eq(b->line, 4);
    cr_expect_eq(b->column, 9);
    cr_expect_eq(node_find(list->last, TEXT("c"))->len, 0);
    cr_expect_null(node_find(root, TEXT("b")));
}

Test(parse, what_is_refused)
{
    static const struct row {
        const char *text, *error;
    } rows[] = {
        {"", "f:1:1: nothing here, expected a mapping"},
        {"# only a comment\n", "f:1:1: nothing here, expected a mapping"},
        {"a: &x 1\n", "f:1:4: an anchor (&), expected"},
        {"a: &x {b: 1}\n", "f:1:4: an anchor (&), expected"},
        {"a: *x\n", "f:1:4: an alias (*), expected"},
        {"a: !!str 1\n", "f:1:4: a tag (!), expected"},
        {"a: !x [1]\n", "f:1:4: a tag (!), expected"},
        {"a: 1\na: 2\n", "f:2:1: key 'a' is here for the second time, expected it once"},
        {"a: {b: 1, c: 2, b: 3}\n", "f:1:17: key 'b' is here for the second time"},
        {"a: 1\n---\nb: 2\n", "f:2:1: a second document, expected only one"},
        {"[a]: 1\n", "f:1:1: not a key, expected a word"},
        {"? {a: 1}\n: 2\n", "f:1:3: not a key, expected a word"},
        {"'': 1\n", "f:1:1: not a key, expected a word"},
        {"a: \"x\\0y\"\n", "f:1:4: a NUL character, expected"},
        {"a:\n\t- b\n", "f:2:1: found character that cannot start any token"},
        {"a: [1, 2\nb: 3\n", "f:2:2: did not find expected ',' or ']'"},
        {"a: 'x\n", "f:2:1: found unexpected end of stream"},
        {"a: \xff\n", "f:1:"},
        {"a: \x01\n", "f:1:"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "f:1:17: nested too deep, expected at most 16"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct node *root;
        fixture_error[0] = '\0';
        cr_expect_eq(parse_text(&r, "f", text_of(rows[i].text), &root), ST_INVALID, "%s",
                     rows[i].text);
        cr_expect_eq(strncmp(fixture_error, rows[i].error, strlen(rows[i].error)), 0,
                     "%s: got \"%s\", not \"%s\"", rows[i].text, fixture_error, rows[i].error);
        cr_expect_not_null(strstr(fixture_error, "expected"), "%s", fixture_error);
    }
}

Test(parse, a_mapping_has_at_most_1024_keys)
{
    char text[16384];
    char *end = text;
    const struct node *root;

    for (int i = 0; i < 1025; i++)
        end += sprintf(end, "k%d: 1\n", i);
    cr_expect_eq(parse_text(&r, "f", text_of(text), &root), ST_INVALID);
    cr_expect_str_eq(fixture_error, "f:1025:1: too many keys, expected at most 1024");
}

Test(parse, what_is_echoed_is_short_and_printable)
{
    char buf[READER_ECHO_MAX];
    struct node node = {.text = TEXT("a\nb\x1b[31m")};

    cr_expect_str_eq(reader_echo(&node, buf), "a?b?[31m");
    /* 16 characters of three bytes: cut between two of them. */
    node.text =
        TEXT("\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80"
             "\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80\xec\xa7\x80"
             "\xec\xa7\x80\xec\xa7\x80");
    reader_echo(&node, buf);
    cr_expect_eq(strlen(buf), 42 + 3);
    cr_expect_str_eq(buf + 42, "...");
}

Test(parse, files)
{
    const struct node *root;
    struct node at = {.file = "main.yaml", .line = 7, .column = 3};

    fixture_open();
    fixture_write("big.yaml", "a: 0123456789\n");
    cr_expect_eq(parse_file(&r, fixture_path("big.yaml"), 14, NULL, &root), ST_OK);
    cr_expect_eq(parse_file(&r, fixture_path("big.yaml"), 13, NULL, &root), ST_INVALID);
    cr_expect_not_null(strstr(fixture_error, "14 bytes long, expected at most 13"));
    fixture_error[0] = '\0';
    cr_expect_eq(parse_file(&r, "/nonexistent/x.yaml", 13, &at, &root), ST_INVALID);
    cr_expect_str_eq(fixture_error,
                     "main.yaml:7:3: /nonexistent/x.yaml: No such file or directory, "
                     "expected a readable file");
    fixture_error[0] = '\0';
    cr_expect_eq(parse_file(&r, "/tmp", 13, NULL, &root), ST_INVALID);
    cr_expect_str_eq(fixture_error, "/tmp:1:1: not a regular file, expected a readable file");
    fixture_error[0] = '\0';
    cr_assert_eq(mkfifo(fixture_path("pipe"), 0600), 0);
    cr_expect_eq(parse_file(&r, fixture_path("pipe"), 13, NULL, &root), ST_INVALID);
    fixture_close();
}

Test(parse, the_first_error_counts)
{
    struct node at = {.file = "f", .line = 1, .column = 2};

    cr_expect_eq(reader_fail(&r, &at, "one"), ST_INVALID);
    cr_expect_eq(reader_fail(&r, &at, "two"), ST_INVALID);
    cr_expect_str_eq(fixture_error, "f:1:2: one");
}
