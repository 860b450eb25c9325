/* SPDX-License-Identifier: Apache-2.0 */
/* key_text.h - a file of keys as text: what it holds, and the smallest edit that adds or takes out a key.  Pure.
 *
 * Comments, order and style of all other lines stay as they are.  After an edit the text is read again: unless it holds
 * what it held, and exactly that key more or less, the edit is refused. */
#pragma once

#include "base/text.h"

#define KEY_WHY_MAX 256

/* Texts point into the memory of the list. */
struct key_item {
    const char *sha256; /* 64 hex digits, as written; any may be "" */
    const char *account;
    const char *tier;
    const char *team;     /* "": none */
    const char *timezone; /* "": the policy's */
    size_t begin, end;    /* its bytes in the text; a block item's without its "-" */
    bool is_flow;         /* written as {...} */
};

struct key_list {
    int len;
    struct key_item *items; /* owned, with the texts */
    bool is_missing;        /* there is no list yet */
    bool is_flow;           /* written as [...] */
    size_t begin;           /* where the first item would go: behind "[", "keys:", or at the end */
};

/* ST_OK, ST_NOMEM, or ST_INVALID with why: it is not a file of keys, or one that cannot be edited. */
MUST_CHECK enum status key_text_read(struct text text, struct key_list *out, char why[KEY_WHY_MAX]);
void key_list_free(struct key_list *list);

/* The text with that key more; *out is the caller's to free, with a NUL behind it. */
MUST_CHECK enum status key_text_add(struct text text, const struct key_item *item, char **out,
                                    char why[KEY_WHY_MAX]);
/* The text without the item of that index. */
MUST_CHECK enum status key_text_remove(struct text text, int index, char **out,
                                       char why[KEY_WHY_MAX]);
