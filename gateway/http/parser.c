/* SPDX-License-Identifier: Apache-2.0 */
/* parser.c - finds heads and bodies in a stream of bytes, and has llhttp judge them.
 *
 * Bytes of a head are looked at twice.  As they come in, lines are found and what can be judged by line is: the start
 * line, the limits, bare LF, folding.  Offsets are kept, no pointers, so the buffer may grow and move meanwhile.  Once
 * the head is whole, llhttp gets its fields in one piece and judges names, values and the rest; it is stopped behind them.
 * Bodies of known length are counted here; chunked ones go on through llhttp, which is stopped after each piece. */
#include "http/parser.h"

#include <string.h>

#include "http/framing.h"
#include "http/start_line.h"

static struct http_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

static int on_field_name(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *p = parser_of(llhttp);

    if (p->is_head_done) /* a trailer */
        return 0;
    if (p->head->fields_len == HEAD_FIELDS_MAX)
        return HPE_USER;
    /* Some fields without a value get no callback for it. */
    head_add(p->head, (struct text){at, len}, (struct text){at + len, 0});
    return 0;
}

static int on_field_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *p = parser_of(llhttp);

    if (!p->is_head_done)
        p->head->fields[p->head->fields_len - 1].value = text_trim((struct text){at, len});
    return 0;
}

static int on_head(llhttp_t *llhttp)
{
    UNUSED(llhttp);
    return HPE_PAUSED;
}

static int on_content(llhttp_t *llhttp, const char *at, size_t len)
{
    parser_of(llhttp)->piece = (struct text){at, len};
    return len > 0 ? HPE_PAUSED : 0;
}

static int on_end(llhttp_t *llhttp)
{
    parser_of(llhttp)->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field_name,
    .on_header_value = on_field_value,
    .on_headers_complete = on_head,
    .on_body = on_content,
    .on_message_complete = on_end,
};

void http_parser_init(struct http_parser *p, enum http_side side, const struct http_limits *limits)
{
    *p = (struct http_parser){.side = side, .limits = *limits};
}

void http_parser_next(struct http_parser *p, struct http_head *head)
{
    bool answers_head = p->is_interim && p->answers_head;

    *p = (struct http_parser){.side = p->side,
                              .limits = p->limits,
                              .head = head,
                              .answers_head = answers_head,
                              .body_left = -1};
    head_clear(head);
}

static enum status fail(struct http_parser *p, enum http_fault fault)
{
    p->fault = fault;
    p->is_complete = false;
    return ST_INVALID;
}

static enum http_fault start_line_begun(const struct http_parser *p, struct text line)
{
    if (p->side == HTTP_REQUESTS)
        return request_line_begun(&p->limits, line);
    return status_line_begun(line);
}

static enum http_fault start_line_parse(struct http_parser *p, struct text line)
{
    if (p->side == HTTP_REQUESTS)
        return request_line_parse(&p->limits, line, p->head);
    return status_line_parse(line, p->head);
}

/* Lines are given whole, with their CR, but without LF. */
static enum status take_start_line(struct http_parser *p, struct text line)
{
    if (p->side == HTTP_REQUESTS && text_equal(line, TEXT("\r"))) {
        p->blank_bytes += sizeof("\r\n") - 1;
        return ST_PENDING;
    }
    enum http_fault fault = start_line_parse(p, line);
    if (fault)
        return fail(p, fault);
    p->lines++;
    p->fields_at = p->blank_bytes + line.len + 1;
    return ST_PENDING;
}

/* Folded lines are obsolete, and were read differently by different programs (RFC 9112 5.2); a second CR before the LF,
 * and a name of no letters, llhttp 8 lets pass. */
static bool begins_no_name(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ':' || c == '\0';
}

/* ST_OK: it was the empty one behind the fields. */
static enum status take_field_line(struct http_parser *p, struct text line)
{
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
        return fail(p, HTTP_FAULT_MALFORMED);
    if (line.len == 1)
        return ST_OK;
    if (begins_no_name(line.ptr[0]))
        return fail(p, HTTP_FAULT_MALFORMED);
    if (p->lines > HEAD_FIELDS_MAX)
        return fail(p, HTTP_FAULT_HEAD_TOO_LARGE);
    p->lines++;
    return ST_PENDING;
}

/* Looks for the end of the head in len bytes from begin, of which those up to fed_bytes were looked at before. */
static enum status find_end(struct http_parser *p, const char *begin, size_t len)
{
    const char *end = begin + len;
    const char *line = begin + p->line_at;
    const char *lf = memchr(begin + p->fed_bytes, '\n', len - p->fed_bytes);
    enum status st = ST_PENDING;

    while (lf && st == ST_PENDING) {
        struct text whole = {line, (size_t)(lf - line)};
        st = p->lines > 0 ? take_field_line(p, whole) : take_start_line(p, whole);
        line = lf + 1;
        lf = st == ST_PENDING ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    }
    p->line_at = (size_t)(line - begin);
    p->fed_bytes = st == ST_PENDING ? len : p->line_at;
    if (st == ST_PENDING && p->lines == 0) {
        enum http_fault fault = start_line_begun(p, (struct text){line, (size_t)(end - line)});
        if (fault)
            return fail(p, fault);
    }
    return st;
}

/* What a refusal by llhttp means. */
static enum http_fault fault_of(const struct http_parser *p, llhttp_errno_t error)
{
    /* The start line was judged before, so all that llhttp may find wrong there is a method that it does not know, or
     * knows from RTSP or HTTP/2 alone, which it tells in these three ways. */
    bool is_method = error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT ||
                     error == HPE_INVALID_VERSION;
    if (is_method && p->head->fields_len == 0)
        return HTTP_FAULT_NOT_IMPLEMENTED;
    /* Beside a Content-Length it is that which is wrong. */
    if (error == HPE_INVALID_TRANSFER_ENCODING && !head_has(p->head, NAME_CONTENT_LENGTH))
        return HTTP_FAULT_NOT_IMPLEMENTED;
    return HTTP_FAULT_MALFORMED;
}

/* llhttp as it stands behind a start line of HTTP/1.0 or HTTP/1.1. */
static const llhttp_t *llhttp_behind_start_line(enum http_side side, int minor_version)
{
    static const struct text lines[][2] = {
        [HTTP_REQUESTS] = {{"GET / HTTP/1.0\r\n", 16}, {"GET / HTTP/1.1\r\n", 16}},
        [HTTP_ANSWERS] = {{"HTTP/1.0 200 OK\r\n", 17}, {"HTTP/1.1 200 OK\r\n", 17}},
    };
    /* A thread's own, as who needs it first makes it. */
    static _Thread_local llhttp_t made[ARRAY_LEN(lines)][2];
    llhttp_t *llhttp = &made[side][minor_version];

    if (!llhttp->settings) {
        struct text line = lines[side][minor_version];
        llhttp_init(llhttp, side == HTTP_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
        llhttp_errno_t error = llhttp_execute(llhttp, line.ptr, line.len);
        ASSERT(error == HPE_OK);
    }
    return llhttp;
}

/* A start line of which all was judged here is not given to llhttp, which would take a third of its time for it.  What is
 * left to llhttp: which other methods there are, and what the authority of an absolute target may hold. */
static bool is_start_line_judged(const struct http_parser *p)
{
    return p->side == HTTP_ANSWERS ||
           (p->head->method != METHOD_OTHER && p->head->target.ptr[0] == '/');
}

static llhttp_errno_t run_llhttp(struct http_parser *p, struct text head)
{
    struct text rest = head;

    if (is_start_line_judged(p)) {
        size_t line_bytes = p->fields_at - p->blank_bytes;
        rest = (struct text){head.ptr + line_bytes, head.len - line_bytes};
        p->llhttp = *llhttp_behind_start_line(p->side, p->head->minor_version);
        p->llhttp.status_code = (uint16_t)p->head->status;
    } else {
        llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    }
    p->llhttp.data = p;
    return llhttp_execute(&p->llhttp, rest.ptr, rest.len);
}

static enum http_fault parse_fields(struct http_parser *p, struct text head)
{
    llhttp_errno_t error = run_llhttp(p, head);
    if (error != HPE_PAUSED)
        return p->side == HTTP_REQUESTS ? fault_of(p, error) : HTTP_FAULT_MALFORMED;
    /* It must see the same end. */
    if (llhttp_get_error_pos(&p->llhttp) != head.ptr + head.len)
        return HTTP_FAULT_MALFORMED;
    return p->side == HTTP_REQUESTS ? framing_of_request(p) : framing_of_answer(p);
}

static enum status finish_head(struct http_parser *p, const char *begin, bool has_moved)
{
    struct text head = {begin + p->blank_bytes, p->fed_bytes - p->blank_bytes};

    if (has_moved) {
        struct text line = {head.ptr, p->fields_at - p->blank_bytes - 1};
        enum http_fault fault = start_line_parse(p, line);
        ASSERT(fault == HTTP_FAULT_NONE);
    }
    p->head->head_bytes = head.len;
    enum http_fault fault = parse_fields(p, head);
    if (fault)
        return fail(p, fault);
    head_mark_hop_by_hop(p->head);
    p->is_head_done = true;
    p->is_complete = p->framing == FRAMING_EMPTY;
    return ST_OK;
}

enum status http_parser_head(struct http_parser *p, const char *bytes, size_t len,
                             size_t *out_consumed)
{
    ASSERT(!p->is_head_done);
    if (p->fault)
        return ST_INVALID;
    size_t fed_before = p->fed_bytes;
    size_t take = MIN(len, p->limits.head_bytes - fed_before);
    const char *begin = bytes - fed_before;
    enum status st = find_end(p, begin, fed_before + take);

    if (st == ST_PENDING && take < len)
        return fail(p, HTTP_FAULT_HEAD_TOO_LARGE);
    if (st == ST_OK)
        st = finish_head(p, begin, fed_before > 0);
    if (st != ST_INVALID)
        *out_consumed = p->fed_bytes - fed_before;
    return st;
}

static enum status take_counted(struct http_parser *p, const char *bytes, size_t len,
                                size_t *out_consumed, struct text *out_piece)
{
    size_t take = len;

    if (p->framing == FRAMING_LENGTH) {
        take = (uint64_t)p->body_left < len ? (size_t)p->body_left : len;
        p->body_left -= (int64_t)take;
        p->is_complete = p->body_left == 0;
    }
    *out_consumed = take;
    *out_piece = (struct text){bytes, take};
    return ST_OK;
}

static enum status take_chunked(struct http_parser *p, const char *bytes, size_t len,
                                size_t *out_consumed, struct text *out_piece)
{
    p->piece = TEXT_NONE;
    p->llhttp.data = p;
    llhttp_resume(&p->llhttp);
    llhttp_errno_t error = llhttp_execute(&p->llhttp, bytes, len);
    if (error != HPE_OK && error != HPE_PAUSED)
        return fail(p, HTTP_FAULT_MALFORMED);
    size_t taken = error == HPE_OK ? len : (size_t)(llhttp_get_error_pos(&p->llhttp) - bytes);

    /* Only what llhttp 8 does not look at: the very last line, which it takes without CR as well. */
    char before_last = taken > 1 ? bytes[taken - 2] : p->last_byte;
    if (p->is_complete && before_last != '\r')
        return fail(p, HTTP_FAULT_MALFORMED);
    /* llhttp stops behind each piece, so what was taken besides it came before it. */
    p->last_byte = taken > 0 ? bytes[taken - 1] : p->last_byte;
    p->framing_bytes += taken - p->piece.len;
    if (p->framing_bytes > p->limits.head_bytes)
        return fail(p, HTTP_FAULT_MALFORMED);
    if (p->piece.len > 0)
        p->framing_bytes = 0;
    *out_consumed = taken;
    *out_piece = p->piece;
    return ST_OK;
}

enum status http_parser_body(struct http_parser *p, const char *bytes, size_t len,
                             size_t *out_consumed, struct text *out_piece)
{
    ASSERT(p->is_head_done);
    if (p->fault)
        return ST_INVALID;
    if (p->is_complete || len == 0) {
        *out_consumed = 0;
        *out_piece = TEXT_NONE;
        return ST_OK;
    }
    if (p->framing == FRAMING_CHUNKED)
        return take_chunked(p, bytes, len, out_consumed, out_piece);
    return take_counted(p, bytes, len, out_consumed, out_piece);
}

enum status http_parser_end(struct http_parser *p)
{
    if (p->fault)
        return ST_INVALID;
    if (!p->is_head_done)
        return p->fed_bytes == p->blank_bytes ? ST_CLOSED : ST_INVALID;
    if (p->framing == FRAMING_UNTIL_CLOSE)
        p->is_complete = true;
    return p->is_complete ? ST_OK : ST_INVALID;
}
