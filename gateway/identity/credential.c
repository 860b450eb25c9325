/* SPDX-License-Identifier: Apache-2.0 */
/* credential.c - the key that a request carries.      Runs on: worker. */
#include "identity/credential.h"

#include <limits.h>

static const struct credential malformed = {.state = CREDENTIAL_MALFORMED};

/* Letters, digits and -._~+/. */
/* clang-format off */
#define FIVE(c)    [(c)] = true, [(c) + 1] = true, [(c) + 2] = true, [(c) + 3] = true, [(c) + 4] = true
#define LETTERS(a) FIVE(a), FIVE((a) + 5), FIVE((a) + 10), FIVE((a) + 15), FIVE((a) + 20), [(a) + 25] = true
/* clang-format on */
static const bool is_token_char[UCHAR_MAX + 1] = {
    LETTERS('A'), LETTERS('a'), FIVE('0'),    FIVE('5'),    ['-'] = true,
    ['.'] = true, ['_'] = true, ['~'] = true, ['+'] = true, ['/'] = true,
};

/* b64token of RFC 6750 2.1: token characters, then any number of "=". */
static bool is_token(struct text t)
{
    size_t i = 0;

    if (t.len == 0 || t.len > CREDENTIAL_MAX)
        return false;
    while (i < t.len && is_token_char[(unsigned char)t.ptr[i]])
        i++;
    if (i == 0)
        return false;
    while (i < t.len && t.ptr[i] == '=')
        i++;
    return i == t.len;
}

static struct credential token_of(struct text t)
{
    if (!is_token(t))
        return malformed;
    return (struct credential){CREDENTIAL_TOKEN, t};
}

static struct credential read_authorization(struct text rest)
{
    const struct text usual = TEXT("Bearer "); /* as nearly all write it */
    struct text scheme;

    if (rest.len > usual.len && memcmp(rest.ptr, usual.ptr, usual.len) == 0)
        return token_of(text_trim((struct text){rest.ptr + usual.len, rest.len - usual.len}));
    if (!text_next(&rest, ' ', &scheme))
        return malformed;
    if (!text_equal_nocase(scheme, TEXT("bearer")))
        return (struct credential){.state = CREDENTIAL_FOREIGN};
    return token_of(text_trim(rest));
}

struct credential credential_read(const struct http_head *head)
{
    bool has_authorization = head_has(head, NAME_AUTHORIZATION);
    bool has_key = head_has(head, NAME_X_API_KEY);

    if (head_repeats(head, NAME_AUTHORIZATION) || head_repeats(head, NAME_X_API_KEY))
        return malformed;
    if (!has_authorization && !has_key)
        return (struct credential){.state = CREDENTIAL_NONE};
    if (!has_key)
        return read_authorization(head_value(head, NAME_AUTHORIZATION));
    struct credential key = token_of(head_value(head, NAME_X_API_KEY));
    if (!has_authorization)
        return key;
    struct credential bearer = read_authorization(head_value(head, NAME_AUTHORIZATION));
    bool is_same = key.state == CREDENTIAL_TOKEN && bearer.state == CREDENTIAL_TOKEN &&
                   text_equal(key.token, bearer.token);
    return is_same ? key : malformed;
}
