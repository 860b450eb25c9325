/* SPDX-License-Identifier: Apache-2.0 */
/* head.h - the head of an HTTP/1.1 message, parsed (RFC 9110, RFC 9112).  All texts point into the buffer that was
 * parsed; the head lives as long as that buffer does. */
#pragma once

#include "base/text.h"

#define HEAD_FIELDS_MAX 100

enum http_method {
    METHOD_NONE,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_PATCH,
    /* A method in llhttp's table that is none of these.  CONNECT, TRACE and unknown ones are refused by the parser
     * (501). */
    METHOD_OTHER,
};

/* Fields that are looked for in every head: known by number, once it is parsed.  Of the first group none is passed on
 * (head_mark_hop_by_hop).  Names are small letters and hyphens; no two begin with the same letter and are as long. */
/* clang-format off */
#define HTTP_NAME_TABLE(X)                                                                         \
    X(CONNECTION,                'c', "connection")                                                \
    X(KEEP_ALIVE,                'k', "keep-alive")                                                \
    X(TE,                        't', "te")                                                        \
    X(TRAILER,                   't', "trailer")                                                   \
    X(TRANSFER_ENCODING,         't', "transfer-encoding")                                         \
    X(UPGRADE,                   'u', "upgrade")                                                   \
    X(PROXY_CONNECTION,          'p', "proxy-connection")                                          \
    X(PROXY_AUTHENTICATE,        'p', "proxy-authenticate")                                        \
    X(PROXY_AUTHORIZATION,       'p', "proxy-authorization")                                       \
    X(PROXY_AUTHENTICATION_INFO, 'p', "proxy-authentication-info")                                 \
    X(HOST,                      'h', "host")                                                      \
    X(CONTENT_LENGTH,            'c', "content-length")                                            \
    X(EXPECT,                    'e', "expect")                                                    \
    X(DATE,                      'd', "date")                                                      \
    X(VIA,                       'v', "via")                                                       \
    X(FORWARDED,                 'f', "forwarded")                                                 \
    X(X_FORWARDED_FOR,           'x', "x-forwarded-for")                                           \
    X(X_FORWARDED_PROTO,         'x', "x-forwarded-proto")                                         \
    X(X_REQUEST_ID,              'x', "x-request-id")                                              \
    X(TRACEPARENT,               't', "traceparent")                                               \
    X(TRACESTATE,                't', "tracestate")                                                \
    X(ACCEPT,                    'a', "accept")                                                    \
    X(ACCEPT_ENCODING,           'a', "accept-encoding")                                           \
    X(CONTENT_TYPE,              'c', "content-type")                                              \
    X(CONTENT_ENCODING,          'c', "content-encoding")                                          \
    X(AUTHORIZATION,             'a', "authorization")                                             \
    X(X_API_KEY,                 'x', "x-api-key")
/* clang-format on */

enum http_name {
    NAME_OTHER,
#define X(id, letter, name) NAME_##id,
    HTTP_NAME_TABLE(X)
#undef X
        HTTP_NAMES_LEN
};
_Static_assert(HTTP_NAMES_LEN <= 32, "a set of names is one uint32_t");

struct http_field {
    struct text name;
    struct text value;  /* trimmed; ptr is never NULL */
    bool is_hop_by_hop; /* of RFC 9110 7.6.1, or named by Connection: not passed on */
    enum http_name id;
};

struct http_head {
    enum http_method method; /* request only */
    struct text method_text;
    struct text target;     /* as sent; origin-form, absolute-form, or "*" */
    struct text path;       /* of the target, without the query; "/" when absolute-form has none */
    struct text query;      /* without '?'; TEXT_NONE when there is none */
    int status;             /* answer only: 100..599 */
    int minor_version;      /* of HTTP/1.x: 0 or 1 */
    int64_t content_length; /* -1: not given */
    bool is_chunked;
    bool has_body;    /* a request with content to come; an answer not 1xx, 204, 304 or to HEAD */
    bool keeps_alive; /* RFC 9112 9.3; never where the content ends with the connection */
    bool expects_continue; /* Expect: 100-continue with content to come, in HTTP/1.1 */
    bool wants_upgrade; /* Upgrade, and named by Connection; the body is parsed as if it did not */
    size_t head_bytes;  /* of the head on the wire, with its last CRLF CRLF */
    int fields_len;
    uint32_t names;          /* a bit for each number that a field has: see HTTP_NAME_BIT */
    uint32_t repeated_names; /* likewise, for those of several fields */

    /* What lies below counts as far as fields_len and names say, and need not be cleared. */
    unsigned char first[HTTP_NAMES_LEN]; /* of the fields of a name, by its number */
    struct http_field fields[HEAD_FIELDS_MAX];
};

/* Which of the table it is. */
enum http_name http_name_of(struct text name);
/* In lower case. */
struct text http_name_text(enum http_name id);
/* A set of one name; sets are joined by |. */
#define HTTP_NAME_BIT(id) (UINT32_C(1) << (id))

/* Makes it empty, for head_add() to fill. */
void head_clear(struct http_head *head);
/* The next field; there must be room. */
void head_add(struct http_head *head, struct text name, struct text value);
static inline bool head_has(const struct http_head *head, enum http_name id)
{
    return (head->names & HTTP_NAME_BIT(id)) != 0;
}
/* Are there several fields of that name? */
static inline bool head_repeats(const struct http_head *head, enum http_name id)
{
    return (head->repeated_names & HTTP_NAME_BIT(id)) != 0;
}
/* The value of the first field of that name; TEXT_NONE when there is none. */
static inline struct text head_value(const struct http_head *head, enum http_name id)
{
    return head_has(head, id) ? head->fields[head->first[id]].value : TEXT_NONE;
}

/* For names that have no number: the value of the first field of that name (ASCII case-insensitive); TEXT_NONE when there
 * is none. */
struct text head_field(const struct http_head *head, struct text name);
/* How many fields have that name. */
int head_field_count(const struct http_head *head, struct text name);
/* Does a comma-separated list field (all lines of it) hold this token? */
bool head_list_has(const struct http_head *head, struct text name, struct text token);
/* Marks is_hop_by_hop on every field; called by the parser once the head is whole.  Besides what RFC 9110 7.6.1 lists:
 * the Proxy-* fields, since to its clients the gateway is the origin and such fields can only be meant for another
 * proxy, whose secrets no backend should see.  Host and Content-Length stay even if Connection names them: the framing
 * and the routing must not depend on that (7.6.1 forbids to name what is meant for all recipients). */
void head_mark_hop_by_hop(struct http_head *head);
/* The reason phrase of RFC 9110 and the registry; "Unknown" for others. */
const char *http_reason(int status);
/* The whole line, "HTTP/1.1 200 OK\r\n", of a status that has a reason phrase; TEXT_NONE for others. */
struct text http_status_line(int status);
