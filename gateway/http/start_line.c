/* SPDX-License-Identifier: Apache-2.0 */
/* start_line.c - request lines and status lines.
 *
 * The verdict is made here, since llhttp takes several spaces between the parts, RTSP and ICE, fragments in the target and
 * unknown methods each in its own way and differently from version to version.  It is given only those lines of which
 * something is left to judge: see parser.c. */
#include "http/start_line.h"

#include <string.h>

/* Longer than any method of the registry (BASELINE-CONTROL, UPDATEREDIRECTREF). */
#define METHOD_BYTES_MAX ((size_t)32)

/* "HTTP/1.1 200 OK" */
#define STATUS_AT  (sizeof("HTTP/1.1 ") - 1)
#define STATUS_END (STATUS_AT + 3)

/* Those that have a number, the one that jobs come with first. */
#define METHOD_TABLE(X) X(POST) X(GET) X(HEAD) X(OPTIONS) X(PUT) X(DELETE) X(PATCH)

static bool is_token_char(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr(others, c) != NULL;
}

static bool is_token(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (!is_token_char((unsigned char)t.ptr[i]))
            return false;
    }
    return t.len > 0;
}

static struct text cut(struct text *rest, char separator)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->ptr) : rest->len;
    struct text head = {rest->ptr, len};

    rest->ptr += at ? len + 1 : len;
    rest->len -= at ? len + 1 : len;
    return head;
}

static bool drop_cr(struct text *line)
{
    if (line->len == 0 || line->ptr[line->len - 1] != '\r')
        return false;
    line->len--;
    return true;
}

/* One of which perhaps more is to come. */
static enum http_fault judge_method(struct text method)
{
    if (!is_token((struct text){method.ptr, MIN(method.len, METHOD_BYTES_MAX + 1)}))
        return HTTP_FAULT_MALFORMED;
    return method.len > METHOD_BYTES_MAX ? HTTP_FAULT_NOT_IMPLEMENTED : HTTP_FAULT_NONE;
}

enum http_fault request_line_begun(const struct http_limits *limits, struct text line)
{
    struct text rest = line;
    struct text method = cut(&rest, ' ');

    /* A CR at the very beginning may be half of an empty line, of which any number is skipped. */
    if (line.len == 0 || (line.len == 1 && line.ptr[0] == '\r'))
        return HTTP_FAULT_NONE;
    enum http_fault fault = judge_method(method);
    if (!fault && cut(&rest, ' ').len > limits->target_bytes)
        fault = HTTP_FAULT_TARGET_TOO_LONG;
    return fault;
}

enum http_fault status_line_begun(struct text line)
{
    struct text protocol = TEXT("HTTP/");

    protocol.len = MIN(protocol.len, line.len);
    return text_starts_with(line, protocol) ? HTTP_FAULT_NONE : HTTP_FAULT_MALFORMED;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum http_fault parse_version(struct text version, struct http_head *head)
{
    if (text_equal(version, TEXT("HTTP/1.1"))) {
        head->minor_version = 1;
        return HTTP_FAULT_NONE;
    }
    if (version.len != sizeof("HTTP/1.1") - 1 || !text_starts_with(version, TEXT("HTTP/")) ||
        !is_digit(version.ptr[5]) || version.ptr[6] != '.' || !is_digit(version.ptr[7]))
        return HTTP_FAULT_MALFORMED;
    if (version.ptr[5] != '1' || version.ptr[7] > '1')
        return HTTP_FAULT_VERSION;
    head->minor_version = version.ptr[7] - '0';
    return HTTP_FAULT_NONE;
}

static enum http_method method_of(struct text name)
{
#define X(method)                                                                                  \
    if (text_equal(name, TEXT(#method)))                                                           \
        return METHOD_##method;
    METHOD_TABLE(X)
#undef X
    return METHOD_OTHER;
}

static void split_query(struct text rest, struct http_head *head)
{
    head->path = cut(&rest, '?');
    bool has_query = head->path.ptr + head->path.len != rest.ptr;
    head->query = has_query ? rest : TEXT_NONE;
}

/* "http://host:port/path?query": of the authority only the form is judged; Host says whom it is for. */
static enum http_fault parse_absolute(struct text rest, struct http_head *head)
{
    size_t len = 0;

    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?') {
        /* User information has no place in a target (RFC 9110 4.2.4). */
        if (rest.ptr[len] == '@')
            return HTTP_FAULT_MALFORMED;
        len++;
    }
    if (len == 0)
        return HTTP_FAULT_MALFORMED;
    split_query((struct text){rest.ptr + len, rest.len - len}, head);
    if (head->path.len == 0)
        head->path = TEXT("/");
    return HTTP_FAULT_NONE;
}

static bool is_scheme(struct text target, struct text scheme)
{
    return target.len >= scheme.len &&
           text_equal_nocase((struct text){target.ptr, scheme.len}, scheme);
}

static enum http_fault parse_target(struct text target, struct http_head *head)
{
    struct text http = TEXT("http://");
    struct text https = TEXT("https://");

    if (text_visible_len(target, '#') < target.len)
        return HTTP_FAULT_MALFORMED;
    head->target = target;
    if (target.ptr[0] == '/') {
        split_query(target, head);
        return HTTP_FAULT_NONE;
    }
    if (text_equal(target, TEXT("*"))) {
        head->path = target;
        return head->method == METHOD_OPTIONS ? HTTP_FAULT_NONE : HTTP_FAULT_MALFORMED;
    }
    if (is_scheme(target, http))
        return parse_absolute((struct text){target.ptr + http.len, target.len - http.len}, head);
    if (is_scheme(target, https))
        return parse_absolute((struct text){target.ptr + https.len, target.len - https.len}, head);
    return HTTP_FAULT_MALFORMED;
}

enum http_fault request_line_parse(const struct http_limits *limits, struct text line,
                                   struct http_head *head)
{
    struct text rest = line;
    struct text method = cut(&rest, ' ');
    struct text target = cut(&rest, ' ');
    bool has_version = target.ptr + target.len != line.ptr + line.len;

    head->method_text = method;
    head->method = method_of(method);
    enum http_fault fault = head->method == METHOD_OTHER ? judge_method(method) : HTTP_FAULT_NONE;
    if (fault)
        return fault;
    if (target.len > limits->target_bytes)
        return HTTP_FAULT_TARGET_TOO_LONG;
    if (!drop_cr(has_version ? &rest : &target) || target.len == 0)
        return HTTP_FAULT_MALFORMED;
    /* "GET /" alone is HTTP/0.9. */
    fault = has_version ? parse_version(rest, head) : HTTP_FAULT_VERSION;
    if (fault)
        return fault;
    if (text_equal(method, TEXT("CONNECT")) || text_equal(method, TEXT("TRACE")))
        return HTTP_FAULT_NOT_IMPLEMENTED;
    return parse_target(target, head);
}

enum http_fault status_line_parse(struct text line, struct http_head *head)
{
    struct text version = {line.ptr, MIN(line.len, sizeof("HTTP/1.1") - 1)};

    if (!text_starts_with(line, TEXT("HTTP/")) || !drop_cr(&line))
        return HTTP_FAULT_MALFORMED;
    if (line.len > version.len && line.ptr[version.len] != ' ')
        return HTTP_FAULT_MALFORMED;
    enum http_fault fault = parse_version(version, head);
    if (fault)
        return fault;
    if (line.len < STATUS_END || (line.len > STATUS_END && line.ptr[STATUS_END] != ' '))
        return HTTP_FAULT_MALFORMED;
    const char *status = line.ptr + STATUS_AT;
    if (status[0] < '1' || status[0] > '5' || !is_digit(status[1]) || !is_digit(status[2]))
        return HTTP_FAULT_MALFORMED;
    head->status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
    for (size_t i = STATUS_END; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return HTTP_FAULT_MALFORMED;
    }
    return HTTP_FAULT_NONE;
}
