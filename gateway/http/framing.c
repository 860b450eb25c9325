/* SPDX-License-Identifier: Apache-2.0 */
/* framing.c - where a message ends, whether the connection goes on, and whom a request is for.
 *
 * Anything by which two parsers could see two different ends of the same message is refused: Content-Length beside
 * Transfer-Encoding, either of them twice, codings other than chunked, chunked in HTTP/1.0. */
#include "http/framing.h"

#include <string.h>

/* Those of Connection. */
struct options {
    int len;
    bool closes, keeps, upgrades;
};

static void note_options(struct options *options, struct text list)
{
    struct text option;

    while (text_next(&list, ',', &option)) {
        options->len++;
        options->closes |= text_equal_nocase(option, TEXT("close"));
        options->keeps |= text_equal_nocase(option, TEXT("keep-alive"));
        options->upgrades |= text_equal_nocase(option, TEXT("upgrade"));
    }
}

static struct options options_of(const struct http_head *head)
{
    struct options options = {0};

    for (int i = 0; head_has(head, NAME_CONNECTION) && i < head->fields_len; i++) {
        if (head->fields[i].id == NAME_CONNECTION)
            note_options(&options, head->fields[i].value);
    }
    return options;
}

static bool expects_continue(const struct http_head *head)
{
    for (int i = 0; head_has(head, NAME_EXPECT) && i < head->fields_len; i++) {
        const struct http_field *field = &head->fields[i];

        if (field->id == NAME_EXPECT && text_equal_nocase(field->value, TEXT("100-continue")))
            return true;
    }
    return false;
}

static bool is_letter_or_digit(char c)
{
    unsigned char byte = (unsigned char)c;

    return (unsigned char)((byte | 0x20) - 'a') <= 'z' - 'a' || (unsigned char)(byte - '0') <= 9;
}

/* uri-host [ ":" port ] by its alphabet (RFC 3986 3.2.2); empty is allowed (RFC 9112 3.2). */
static bool is_host(struct text host)
{
    /* The first of them are what nearly all hosts have. */
    static const char others[] = ".-:_~%!$&'()*+;=[]";

    for (size_t i = 0; i < host.len; i++) {
        if (!is_letter_or_digit(host.ptr[i]) && host.ptr[i] != others[0] &&
            !memchr(others, host.ptr[i], sizeof(others) - 1))
            return false;
    }
    return true;
}

static enum http_fault judge_length(struct http_head *head)
{
    uint64_t length = 0;

    if (!head_has(head, NAME_CONTENT_LENGTH))
        return HTTP_FAULT_NONE;
    if (head_repeats(head, NAME_CONTENT_LENGTH) || head_has(head, NAME_TRANSFER_ENCODING) ||
        text_to_u64(head_value(head, NAME_CONTENT_LENGTH), &length) || length > INT64_MAX)
        return HTTP_FAULT_MALFORMED;
    head->content_length = (int64_t)length;
    return HTTP_FAULT_NONE;
}

static enum http_fault judge_coding(struct http_head *head)
{
    if (!head_has(head, NAME_TRANSFER_ENCODING))
        return HTTP_FAULT_NONE;
    if (head->minor_version == 0)
        return HTTP_FAULT_MALFORMED;
    if (head_repeats(head, NAME_TRANSFER_ENCODING) ||
        !text_equal_nocase(head_value(head, NAME_TRANSFER_ENCODING), TEXT("chunked")))
        return HTTP_FAULT_NOT_IMPLEMENTED;
    head->is_chunked = true;
    return HTTP_FAULT_NONE;
}

/* What both sides have in common. */
static enum http_fault judge(struct http_head *head)
{
    struct options options = options_of(head);

    /* Each option is looked for among all fields, so their number is bounded like that of fields. */
    if (options.len > HEAD_FIELDS_MAX)
        return HTTP_FAULT_HEAD_TOO_LARGE;
    enum http_fault fault = judge_length(head);
    if (!fault)
        fault = judge_coding(head);
    head->keeps_alive = !options.closes && (head->minor_version == 1 || options.keeps);
    head->wants_upgrade = head_has(head, NAME_UPGRADE) && options.upgrades;
    return fault;
}

static void set_framing(struct http_parser *p, enum http_framing framing)
{
    p->framing = framing;
    p->body_left = framing == FRAMING_LENGTH ? p->head->content_length : -1;
}

enum http_fault framing_of_request(struct http_parser *p)
{
    struct http_head *head = p->head;
    enum http_fault fault = judge(head);

    if (fault)
        return fault;
    bool has_host = head_has(head, NAME_HOST);
    if ((!has_host && head->minor_version == 1) || head_repeats(head, NAME_HOST) ||
        !is_host(head_value(head, NAME_HOST)))
        return HTTP_FAULT_MALFORMED;
    if (head->is_chunked)
        set_framing(p, FRAMING_CHUNKED);
    else
        set_framing(p, head->content_length > 0 ? FRAMING_LENGTH : FRAMING_EMPTY);
    head->has_body = p->framing != FRAMING_EMPTY;
    head->expects_continue = head->has_body && head->minor_version == 1 && expects_continue(head);
    return HTTP_FAULT_NONE;
}

enum http_fault framing_of_answer(struct http_parser *p)
{
    struct http_head *head = p->head;
    enum http_fault fault = judge(head);

    if (fault)
        return fault == HTTP_FAULT_NOT_IMPLEMENTED ? HTTP_FAULT_MALFORMED : fault;
    p->is_interim = head->status < 200 && head->status != 101;
    head->has_body =
        !p->answers_head && head->status >= 200 && head->status != 204 && head->status != 304;
    if (head->status == 101)
        set_framing(p, FRAMING_UNTIL_CLOSE);
    else if (!head->has_body || head->content_length == 0)
        set_framing(p, FRAMING_EMPTY);
    else if (head->is_chunked)
        set_framing(p, FRAMING_CHUNKED);
    else
        set_framing(p, head->content_length > 0 ? FRAMING_LENGTH : FRAMING_UNTIL_CLOSE);
    if (p->framing == FRAMING_UNTIL_CLOSE)
        head->keeps_alive = false;
    return HTTP_FAULT_NONE;
}
