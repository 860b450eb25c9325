/* SPDX-License-Identifier: Apache-2.0 */
/* credential.c - the key that a request carries.      Runs on: worker. */
#include "identity/credential.h"

static const struct credential malformed = {.state = CREDENTIAL_MALFORMED};

static bool is_token_char(char c)
{
    /* Letters, digits and -._~+/, a bit each. */
    static const uint32_t chars[] = {0, 0x03ffe800, 0x87fffffe, 0x47fffffe};
    unsigned char byte = (unsigned char)c;

    return byte < 128 && (chars[byte / 32] >> byte % 32 & 1) != 0;
}

/* b64token of RFC 6750 2.1: token characters, then any number of "=". */
static bool is_token(struct text t)
{
    size_t i = 0;

    if (t.len == 0 || t.len > CREDENTIAL_MAX)
        return false;
    while (i < t.len && is_token_char(t.ptr[i]))
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

static struct credential read_authorization(const struct http_head *head)
{
    struct text rest = head_field(head, TEXT("authorization"));
    struct text scheme;

    if (!text_next(&rest, ' ', &scheme))
        return malformed;
    if (!text_equal_nocase(scheme, TEXT("bearer")))
        return (struct credential){.state = CREDENTIAL_FOREIGN};
    return token_of(text_trim(rest));
}

struct credential credential_read(const struct http_head *head)
{
    int authorizations = head_field_count(head, TEXT("authorization"));
    int keys = head_field_count(head, TEXT("x-api-key"));

    if (authorizations > 1 || keys > 1)
        return malformed;
    if (authorizations + keys == 0)
        return (struct credential){.state = CREDENTIAL_NONE};
    if (keys == 0)
        return read_authorization(head);
    struct credential key = token_of(head_field(head, TEXT("x-api-key")));
    if (authorizations == 0)
        return key;
    struct credential bearer = read_authorization(head);
    bool is_same = key.state == CREDENTIAL_TOKEN && bearer.state == CREDENTIAL_TOKEN &&
                   text_equal(key.token, bearer.token);
    return is_same ? key : malformed;
}
