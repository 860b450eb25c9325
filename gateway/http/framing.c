/* SPDX-License-Identifier: Apache-2.0 */
/* framing.c - where a message ends, whether the connection goes on, and whom a request is for.
 *
 * Anything by which two parsers could see two different ends of the same message is refused: Content-Length beside
 * Transfer-Encoding, either of them twice, codings other than chunked, chunked in HTTP/1.0. */
#include "http/framing.h"

#include <string.h>

/* What the fields said, before it is judged. */
struct found {
    int hosts, lengths, codings, options;
    struct text host, length, coding; /* the last of each */
    bool closes, keeps, upgrades;     /* options of Connection */
    bool has_upgrade;
    bool expects;
};

static void note_connection(struct found *found, struct text options)
{
    struct text option;

    while (text_next(&options, ',', &option)) {
        found->options++;
        found->closes |= http_name_equal(option, TEXT("close"));
        found->keeps |= http_name_equal(option, TEXT("keep-alive"));
        found->upgrades |= http_name_equal(option, TEXT("upgrade"));
    }
}

static void note_field(struct found *found, const struct http_field *field)
{
    switch ((int)field->id) {
    case NAME_HOST:
        found->hosts++;
        found->host = field->value;
        break;
    case NAME_CONTENT_LENGTH:
        found->lengths++;
        found->length = field->value;
        break;
    case NAME_TRANSFER_ENCODING:
        found->codings++;
        found->coding = field->value;
        break;
    case NAME_CONNECTION:
        note_connection(found, field->value);
        break;
    case NAME_UPGRADE:
        found->has_upgrade = true;
        break;
    case NAME_EXPECT:
        found->expects |= http_name_equal(field->value, TEXT("100-continue"));
        break;
    default:
        break;
    }
}

/* uri-host [ ":" port ] by its alphabet (RFC 3986 3.2.2); empty is allowed (RFC 9112 3.2). */
static bool is_host(struct text host)
{
    static const char others[] = "-._~%!$&'()*+;=:[]";

    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && (c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return true;
}

static enum http_fault judge_length(const struct found *found, struct http_head *head)
{
    uint64_t length = 0;

    if (found->lengths == 0)
        return HTTP_FAULT_NONE;
    if (found->lengths > 1 || found->codings > 0 || text_to_u64(found->length, &length) ||
        length > INT64_MAX)
        return HTTP_FAULT_MALFORMED;
    head->content_length = (int64_t)length;
    return HTTP_FAULT_NONE;
}

static enum http_fault judge_coding(const struct found *found, struct http_head *head)
{
    if (found->codings == 0)
        return HTTP_FAULT_NONE;
    if (head->minor_version == 0)
        return HTTP_FAULT_MALFORMED;
    if (found->codings > 1 || !http_name_equal(found->coding, TEXT("chunked")))
        return HTTP_FAULT_NOT_IMPLEMENTED;
    head->is_chunked = true;
    return HTTP_FAULT_NONE;
}

/* What both sides have in common. */
static enum http_fault judge(struct http_head *head, struct found *found)
{
    *found = (struct found){0};
    for (int i = 0; i < head->fields_len; i++)
        note_field(found, &head->fields[i]);
    /* Each option is looked for among all fields, so their number is bounded like that of fields. */
    if (found->options > HEAD_FIELDS_MAX)
        return HTTP_FAULT_HEAD_TOO_LARGE;
    enum http_fault fault = judge_length(found, head);
    if (!fault)
        fault = judge_coding(found, head);
    head->keeps_alive = !found->closes && (head->minor_version == 1 || found->keeps);
    head->wants_upgrade = found->has_upgrade && found->upgrades;
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
    struct found found;
    enum http_fault fault = judge(head, &found);

    if (fault)
        return fault;
    if (found.hosts > 1 || (found.hosts == 0 && head->minor_version == 1) || !is_host(found.host))
        return HTTP_FAULT_MALFORMED;
    if (head->is_chunked)
        set_framing(p, FRAMING_CHUNKED);
    else
        set_framing(p, head->content_length > 0 ? FRAMING_LENGTH : FRAMING_EMPTY);
    head->has_body = p->framing != FRAMING_EMPTY;
    head->expects_continue = found.expects && head->has_body && head->minor_version == 1;
    return HTTP_FAULT_NONE;
}

enum http_fault framing_of_answer(struct http_parser *p)
{
    struct http_head *head = p->head;
    struct found found;
    enum http_fault fault = judge(head, &found);

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
