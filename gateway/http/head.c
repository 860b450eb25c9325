/* SPDX-License-Identifier: Apache-2.0 */
/* head.c - questions about a parsed head, and which of its fields stop here. */
#include "http/head.h"

#include <string.h>

/* Longer than the longest name that has a number. */
#define NAME_LEN_END 32

static const struct text names[HTTP_NAMES_LEN] = {
#define X(id, letter, literal) [NAME_##id] = {literal, sizeof(literal) - 1},
    HTTP_NAME_TABLE(X)
#undef X
};

/* Is it that name of the table, in any case?  In those stand small letters, which alone have the bit 0x40, and hyphens. */
static inline bool is_same_word(uint64_t word, uint64_t lower)
{
    const uint64_t letter_bits = UINT64_C(0x4040404040404040);

    return ((word ^ lower) & ~((lower & letter_bits) >> 1)) == 0;
}

static inline bool is_name(const char *at, const char *lower, size_t len)
{
    uint64_t word, lower_word;
    const size_t step = sizeof(word);

    for (size_t i = 0; len < step && i < len; i++) {
        if (!is_same_word((unsigned char)at[i], (unsigned char)lower[i]))
            return false;
    }
    for (size_t i = 0; len >= step && i < len; i += step) {
        /* The last word overlaps the one before. */
        size_t from = MIN(i, len - step);
        memcpy(&word, at + from, step);
        memcpy(&lower_word, lower + from, step);
        if (!is_same_word(word, lower_word))
            return false;
    }
    return true;
}

static inline enum http_name number_of(struct text name)
{
    /* The only one that it can be. */
    static const unsigned char by_letter_and_len['z' - 'a' + 1][NAME_LEN_END] = {
#define X(id, letter, literal) [(letter) - 'a'][sizeof(literal) - 1] = NAME_##id,
        HTTP_NAME_TABLE(X)
#undef X
    };

    if (name.len == 0 || name.len >= NAME_LEN_END)
        return NAME_OTHER;
    unsigned letter = (unsigned char)(name.ptr[0] | 0x20) - (unsigned)'a';
    enum http_name id = letter <= 'z' - 'a' ? by_letter_and_len[letter][name.len] : NAME_OTHER;

    return id && is_name(name.ptr, names[id].ptr, name.len) ? id : NAME_OTHER;
}

enum http_name http_name_of(struct text name)
{
    return number_of(name);
}

struct text http_name_text(enum http_name id)
{
    return names[id];
}

void head_clear(struct http_head *head)
{
    memset(head, 0, offsetof(struct http_head, first));
    head->content_length = -1;
}

void head_add(struct http_head *head, struct text name, struct text value)
{
    int i = head->fields_len;
    enum http_name id = number_of(name);

    ASSERT(i < HEAD_FIELDS_MAX);
    head->fields[i] = (struct http_field){.name = name, .value = value, .id = id};
    head->fields_len = i + 1;
    if (head_has(head, id)) {
        head->repeated_names |= HTTP_NAME_BIT(id);
        return;
    }
    head->names |= HTTP_NAME_BIT(id);
    head->first[id] = (unsigned char)i;
}

struct text head_field(const struct http_head *head, struct text name)
{
    for (int i = 0; i < head->fields_len; i++) {
        if (text_equal_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return TEXT_NONE;
}

int head_field_count(const struct http_head *head, struct text name)
{
    int count = 0;

    for (int i = 0; i < head->fields_len; i++)
        count += text_equal_nocase(head->fields[i].name, name);
    return count;
}

bool head_list_has(const struct http_head *head, struct text name, struct text token)
{
    for (int i = 0; i < head->fields_len; i++) {
        if (!text_equal_nocase(head->fields[i].name, name))
            continue;
        struct text rest = head->fields[i].value;
        struct text element;
        while (text_next(&rest, ',', &element)) {
            if (text_equal_nocase(element, token))
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
        if (text_equal_nocase(head->fields[i].name, option))
            head->fields[i].is_hop_by_hop = true;
    }
}

static void mark_all_named(struct http_head *head, struct text options)
{
    struct text option;

    while (text_next(&options, ',', &option)) {
        if (option.len > 0)
            mark_named(head, option);
    }
}

void head_mark_hop_by_hop(struct http_head *head)
{
    const uint32_t of_one_hop = HTTP_NAME_BIT(NAME_HOST) - HTTP_NAME_BIT(NAME_OTHER + 1);

    if (!(head->names & of_one_hop))
        return;
    for (int i = 0; i < head->fields_len; i++) {
        struct http_field *field = &head->fields[i];

        if (of_one_hop & HTTP_NAME_BIT(field->id))
            field->is_hop_by_hop = true;
        if (field->id == NAME_CONNECTION)
            mark_all_named(head, field->value);
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

struct text http_status_line(int status)
{
    switch (status) {
#define X(number, reason)                                                                          \
    case number:                                                                                   \
        return TEXT("HTTP/1.1 " #number " " reason "\r\n");
        REASON_TABLE(X)
#undef X
    default:
        return TEXT_NONE;
    }
}
