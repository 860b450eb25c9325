/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.c - the dialects there are: one row each.      Runs on: any thread. */
#include "dialect/dialect.h"

#include "dialect/openai.h"

/* Name, and the table in its file. */
#define DIALECT_TABLE(X) X("openai", dialect_openai)

static const struct dialect *const dialects[] = {
#define X(name, dialect) &(dialect),
    DIALECT_TABLE(X)
#undef X
};

const char *const dialect_names[] = {
#define X(name, dialect) name,
    DIALECT_TABLE(X)
#undef X
        NULL,
};

const struct dialect *dialect_find(struct text name)
{
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++)
        if (text_equal(name, text_of(dialects[i]->name)))
            return dialects[i];
    return NULL;
}
