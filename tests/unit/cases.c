/* SPDX-License-Identifier: Apache-2.0 */
/* cases.c - the reader of .cases files. */

#include "unit/cases.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#define ARROW "=>"

/* Cuts the next field off *rest; NULL at the end of the line, or at a remark. */
static char *next_field(char **rest)
{
    char *field = *rest + strspn(*rest, " \t\n");

    if (*field == '\0' || *field == '#')
        return NULL;
    bool is_quoted = *field == '"';

    if (is_quoted)
        field++;
    char *end = field + strcspn(field, is_quoted ? "\"" : " \t\n");

    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return field;
}

/* Splits a line where it lies; the arrow parts two fields like a blank does. */
static int split(const struct cases *c, char *line, const char **out)
{
    int len = 0;

    for (char *field = next_field(&line); field; field = next_field(&line)) {
        if (strcmp(field, ARROW) == 0)
            continue;
        if (len == CASES_COLUMNS_MAX)
            cases_reject(c, "too many columns");
        out[len++] = field;
    }
    return len;
}

static void take_names(struct cases *c, const char *comment)
{
    snprintf(c->names_text, sizeof(c->names_text), "%s", comment);
    c->columns = split(c, c->names_text, c->names);
}

static void take_row(struct cases *c)
{
    int len = split(c, c->row_text, c->fields);

    if (c->columns == 0)
        cases_reject(c, "a row before the columns are named");
    if (len != c->columns)
        cases_reject(c, "not as many fields as the table has columns");
    c->rows++;
}

static int column_of(const struct cases *c, const char *name)
{
    for (int i = 0; i < c->columns; i++)
        if (strcmp(c->names[i], name) == 0)
            return i;
    return -1;
}

void cases_open(struct cases *c, const char *path)
{
    *c = (struct cases){.path = path, .file = fopen(path, "r")};
    cr_assert(c->file, "%s: %s (unit tests run in the repository's root)", path, strerror(errno));
}

bool cases_next(struct cases *c)
{
    while (fgets(c->row_text, sizeof(c->row_text), c->file)) {
        c->line++;
        if (!strchr(c->row_text, '\n'))
            cases_reject(c, "a line too long, or without an end");
        const char *text = c->row_text + strspn(c->row_text, " \t\n");

        if (*text == '#' && strstr(text, ARROW))
            take_names(c, text + 1);
        if (*text == '\0' || *text == '#')
            continue;
        take_row(c);
        return true;
    }
    return false;
}

void cases_close(struct cases *c)
{
    fclose(c->file);
    cr_assert(c->rows > 0, "%s: no row in it", c->path);
}

bool cases_has(const struct cases *c, const char *name)
{
    return column_of(c, name) >= 0;
}

const char *cases_text(const struct cases *c, const char *name)
{
    int i = column_of(c, name);

    if (i < 0)
        cases_reject(c, name);
    return c->fields[i];
}

int64_t cases_int(const struct cases *c, const char *name)
{
    const char *text = cases_text(c, name);
    char *end;

    if (strcmp(text, "-") == 0)
        return CASES_NONE;
    int64_t value = strtoll(text, &end, 10);

    if (end == text || *end != '\0')
        cases_reject(c, name);
    return value;
}

int64_t cases_milli(const struct cases *c, const char *name)
{
    const char *text = cases_text(c, name);
    char *end;

    if (strcmp(text, "-") == 0)
        return CASES_NONE;
    int64_t value = strtoll(text, &end, 10) * 1000;
    int64_t sign = *text == '-' ? -1 : 1;

    if (end == text)
        cases_reject(c, name);
    if (*end == '.')
        for (int64_t place = 100; *++end >= '0' && *end <= '9' && place > 0; place /= 10)
            value += sign * place * (*end - '0');
    if (*end != '\0')
        cases_reject(c, name);
    return value;
}

bool cases_is_yes(const struct cases *c, const char *name)
{
    const char *text = cases_text(c, name);

    if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
        cases_reject(c, name);
    return strcmp(text, "yes") == 0;
}

void cases_expect_text(const struct cases *c, const char *name, const char *got)
{
    const char *expected = cases_text(c, name);

    cr_expect(strcmp(got, expected) == 0, "%s:%d: %s: got %s, expected %s", c->path, c->line, name,
              got, expected);
}

void cases_expect_int(const struct cases *c, const char *name, int64_t got)
{
    int64_t expected = cases_int(c, name);

    cr_expect(got == expected, "%s:%d: %s: got %" PRId64 ", expected %s", c->path, c->line, name,
              got, cases_text(c, name));
}

void cases_reject(const struct cases *c, const char *what)
{
    cr_assert(false, "%s:%d: not understood: %s", c->path, c->line, what);
    abort(); /* not reached: a failed assertion leaves the test */
}
