/* SPDX-License-Identifier: Apache-2.0 */
/* head.c - questions about a parsed head, and which of its fields stop here. */
#include "http/head.h"

#include <limits.h>

#define LETTER_AND_LEN(letter, len) ((size_t)(unsigned char)(letter) << 8 | (len))

enum http_name http_name_of(struct text name)
{
    if (name.len == 0 || name.len > UCHAR_MAX)
        return NAME_OTHER;
    switch (LETTER_AND_LEN(name.ptr[0] | 0x20, name.len)) {
#define X(id, letter, literal)                                                                     \
    case LETTER_AND_LEN(letter, sizeof(literal) - 1):                                              \
        return http_name_equal(name, TEXT(literal)) ? NAME_##id : NAME_OTHER;
        HTTP_NAME_TABLE(X)
#undef X
    default:
        return NAME_OTHER;
    }
}

struct text http_name_text(enum http_name id)
{
    static const struct text names[] = {{NULL, 0},
#define X(id, letter, literal) {literal, sizeof(literal) - 1},
                                        HTTP_NAME_TABLE(X)
#undef X
    };

    return names[id];
}

struct text head_field(const struct http_head *head, struct text name)
{
    for (int i = 0; i < head->fields_len; i++) {
        if (http_name_equal(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return TEXT_NONE;
}

int head_field_count(const struct http_head *head, struct text name)
{
    int count = 0;

    for (int i = 0; i < head->fields_len; i++)
        count += http_name_equal(head->fields[i].name, name);
    return count;
}

bool head_list_has(const struct http_head *head, struct text name, struct text token)
{
    for (int i = 0; i < head->fields_len; i++) {
        if (!http_name_equal(head->fields[i].name, name))
            continue;
        struct text rest = head->fields[i].value;
        struct text element;
        while (text_next(&rest, ',', &element)) {
            if (http_name_equal(element, token))
                return true;
        }
    }
    return false;
}

static void mark_named(struct http_head *head, struct text option)
{
    enum http_name id = http_name_of(option);

    if (id == NAME_HOST || id == NAME_CONTENT_LENGTH)
        return;
    for (int i = 0; i < head->fields_len; i++) {
        if (http_name_equal(head->fields[i].name, option))
            head->fields[i].is_hop_by_hop = true;
    }
}

void head_mark_hop_by_hop(struct http_head *head)
{
    bool has_options = false;

    for (int i = 0; i < head->fields_len; i++) {
        struct http_field *field = &head->fields[i];

        field->is_hop_by_hop = field->id != NAME_OTHER && field->id < NAME_HOST;
        has_options = has_options || field->id == NAME_CONNECTION;
    }
    for (int i = 0; has_options && i < head->fields_len; i++) {
        if (head->fields[i].id != NAME_CONNECTION)
            continue;
        struct text rest = head->fields[i].value;
        struct text option;
        while (text_next(&rest, ',', &option)) {
            if (option.len > 0)
                mark_named(head, option);
        }
    }
}

/* clang-format off */
#define REASON_TABLE(X) \
    X(100, "Continue")                        X(101, "Switching Protocols") \
    X(102, "Processing")                      X(103, "Early Hints") \
    X(200, "OK")                              X(201, "Created") \
    X(202, "Accepted")                        X(203, "Non-Authoritative Information") \
    X(204, "No Content")                      X(205, "Reset Content") \
    X(206, "Partial Content")                 X(207, "Multi-Status") \
    X(208, "Already Reported")                X(226, "IM Used") \
    X(300, "Multiple Choices")                X(301, "Moved Permanently") \
    X(302, "Found")                           X(303, "See Other") \
    X(304, "Not Modified")                    X(305, "Use Proxy") \
    X(307, "Temporary Redirect")              X(308, "Permanent Redirect") \
    X(400, "Bad Request")                     X(401, "Unauthorized") \
    X(402, "Payment Required")                X(403, "Forbidden") \
    X(404, "Not Found")                       X(405, "Method Not Allowed") \
    X(406, "Not Acceptable")                  X(407, "Proxy Authentication Required") \
    X(408, "Request Timeout")                 X(409, "Conflict") \
    X(410, "Gone")                            X(411, "Length Required") \
    X(412, "Precondition Failed")             X(413, "Content Too Large") \
    X(414, "URI Too Long")                    X(415, "Unsupported Media Type") \
    X(416, "Range Not Satisfiable")           X(417, "Expectation Failed") \
    X(421, "Misdirected Request")             X(422, "Unprocessable Content") \
    X(423, "Locked")                          X(424, "Failed Dependency") \
    X(425, "Too Early")                       X(426, "Upgrade Required") \
    X(428, "Precondition Required")           X(429, "Too Many Requests") \
    X(431, "Request Header Fields Too Large") X(451, "Unavailable For Legal Reasons") \
    X(500, "Internal Server Error")           X(501, "Not Implemented") \
    X(502, "Bad Gateway")                     X(503, "Service Unavailable") \
    X(504, "Gateway Timeout")                 X(505, "HTTP Version Not Supported") \
    X(506, "Variant Also Negotiates")         X(507, "Insufficient Storage") \
    X(508, "Loop Detected")                   X(511, "Network Authentication Required")
/* clang-format on */

const char *http_reason(int status)
{
    switch (status) {
#define X(number, reason)                                                                          \
    case number:                                                                                   \
        return reason;
        REASON_TABLE(X)
#undef X
    default:
        return "Unknown";
    }
}
