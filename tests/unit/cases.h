/* SPDX-License-Identifier: Apache-2.0 */
/* cases.h - reads .cases files: tables of situations and what must come of them, for people to review and extend.
 *
 *     # tier  images  hottest_c  =>  answer  reason
 *       free  1       70         =>  admit   none
 *       free  1       85         =>  shed    gpu_temperature    # a remark
 *
 * A comment line with "=>" names the columns of the rows that follow; a file may hold several such tables.  Fields are
 * parted by blanks; a field with blanks in it, or an empty one, stands in double quotes.  "-" means none.  Files are
 * found from the repository's root.  What fails is reported as file:line: column: what was got, what was expected. */
#pragma once

#include "base/base.h"

#define CASES_COLUMNS_MAX 24
#define CASES_LINE_MAX    512
#define CASES_NONE                                                                                 \
    INT64_MIN /* what "-" reads as, where a number stands: the same as LOAD_MISSING */

struct cases {
    const char *path;
    void *file;
    int line;
    int rows;
    int columns;
    char names_text[CASES_LINE_MAX];
    char row_text[CASES_LINE_MAX];
    const char *names[CASES_COLUMNS_MAX];
    const char *fields[CASES_COLUMNS_MAX];
};

/* Fails the test where there is no such file. */
void cases_open(struct cases *c, const char *path);
/* The next row; false at the end.  A row that does not fit its table fails the test. */
bool cases_next(struct cases *c);
/* Fails the test where the file held no row at all. */
void cases_close(struct cases *c);

/* Does the table of this row have that column? */
bool cases_has(const struct cases *c, const char *name);
/* A field of this row.  A column that is not there, or no number, fails the test. */
const char *cases_text(const struct cases *c, const char *name);
int64_t cases_int(const struct cases *c, const char *name);
/* A decimal with up to three places, in thousandths: "79.5" is 79500. */
int64_t cases_milli(const struct cases *c, const char *name);
bool cases_is_yes(const struct cases *c, const char *name); /* "yes" or "no" */

/* The field must say this; the test goes on where it does not. */
void cases_expect_text(const struct cases *c, const char *name, const char *got);
void cases_expect_int(const struct cases *c, const char *name, int64_t got);
/* Ends the test: this row cannot be understood. */
_Noreturn void cases_reject(const struct cases *c, const char *what);
