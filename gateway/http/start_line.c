/* SPDX-License-Identifier: Apache-2.0 */
/* start_line.c - request lines and status lines.
 *
 * llhttp reads them once more, but it takes several spaces between the parts, RTSP and ICE, fragments in the target and
 * unknown methods each in its own way and differently from version to version; so the verdict is made here. */
#include "http/start_line.h"

#include <string.h>

/* Longer than any method of the registry (BASELINE-CONTROL, UPDATEREDIRECTREF). */
#define METHOD_BYTES_MAX 32

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

enum http_fault request_line_begun(const struct http_limits *limits, struct text line)
{
    struct text rest = line;
    struct text method = cut(&rest, ' ');
    bool has_space = method.len < line.len;

    /* A CR at the very beginning may be half of an empty line, of which any number is skipped. */
    if (line.len == 0 || (line.len == 1 && line.ptr[0] == '\r'))
        return HTTP_FAULT_NONE;
    if (!is_token((struct text){method.ptr, MIN(method.len, METHOD_BYTES_MAX + 1)}))
        return HTTP_FAULT_MALFORMED;
    if (method.len > METHOD_BYTES_MAX)
        return HTTP_FAULT_NOT_IMPLEMENTED;
    if (has_space && cut(&rest, ' ').len > limits->target_bytes)
        return HTTP_FAULT_TARGET_TOO_LONG;
    return HTTP_FAULT_NONE;
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
    if (version.len != sizeof("HTTP/1.1") - 1 || !text_starts_with(version, TEXT("HTTP/")) ||
        !is_digit(version.ptr[5]) || version.ptr[6] != '.' || !is_digit(version.ptr[7]))
        return HTTP_FAULT_MALFORMED;
    if (version.ptr[5] != '1' || version.ptr[7] > '1')
        return HTTP_FAULT_VERSION;
    head->minor_version = version.ptr[7] - '0';
    return HTTP_FAULT_NONE;
}

static enum http_fault parse_method(struct text method, struct http_head *head)
{
    static const struct {
        struct text name;
        enum http_method method;
    } methods[] = {
        {{"POST", 4}, METHOD_POST},       {{"GET", 3}, METHOD_GET}, {{"HEAD", 4}, METHOD_HEAD},
        {{"OPTIONS", 7}, METHOD_OPTIONS}, {{"PUT", 3}, METHOD_PUT}, {{"DELETE", 6}, METHOD_DELETE},
        {{"PATCH", 5}, METHOD_PATCH},
    };

    head->method_text = method;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (text_equal(method, methods[i].name)) {
            head->method = methods[i].method;
            return HTTP_FAULT_NONE;
        }
    }
    if (text_equal(method, TEXT("CONNECT")) || text_equal(method, TEXT("TRACE")))
        return HTTP_FAULT_NOT_IMPLEMENTED;
    head->method = METHOD_OTHER;
    return HTTP_FAULT_NONE;
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

    for (size_t i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return HTTP_FAULT_MALFORMED;
    }
    head->target = target;
    if (text_starts_with(target, TEXT("/"))) {
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

enum http_fault request_line_parse(struct text line, struct http_head *head)
{
    struct text version = line;
    struct text method = cut(&version, ' ');
    struct text target = cut(&version, ' ');

    if (!is_token(method) || target.len == 0)
        return HTTP_FAULT_MALFORMED;
    /* "GET /" alone is HTTP/0.9. */
    if (target.ptr + target.len == line.ptr + line.len)
        return HTTP_FAULT_VERSION;
    enum http_fault fault = parse_version(version, head);
    if (!fault)
        fault = parse_method(method, head);
    if (!fault)
        fault = parse_target(target, head);
    return fault;
}

enum http_fault status_line_parse(struct text line, struct http_head *head)
{
    struct text rest = line;
    enum http_fault fault = parse_version(cut(&rest, ' '), head);
    struct text status = cut(&rest, ' ');

    if (fault)
        return fault;
    if (status.len != 3 || status.ptr[0] < '1' || status.ptr[0] > '5' || !is_digit(status.ptr[1]) ||
        !is_digit(status.ptr[2]))
        return HTTP_FAULT_MALFORMED;
    head->status = (status.ptr[0] - '0') * 100 + (status.ptr[1] - '0') * 10 + (status.ptr[2] - '0');
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return HTTP_FAULT_MALFORMED;
    }
    return HTTP_FAULT_NONE;
}
