/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - heads and chunk framing as bytes. */
#include "http/writer.h"

#include <string.h>
#include <time.h>

#include "http/head.h"

#define DATE_LINE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

/* One line serves a whole second.  It is a thread's own, so that workers share nothing and it needs no owner to carry
 * it to every place that writes a head. */
static _Thread_local struct {
    int64_t second;
    char line[sizeof(DATE_LINE)]; /* empty: none yet */
} date_cache;

void http_write_status(struct text_out *out, int status)
{
    struct text line = http_status_line(status);

    if (line.len > 0) {
        text_out_add(out, line);
        return;
    }
    text_out_add(out, TEXT("HTTP/1.1 "));
    text_out_int(out, status);
    text_out_char(out, ' ');
    text_out_add(out, text_of(http_reason(status)));
    text_out_add(out, TEXT("\r\n"));
}

void http_write_request(struct text_out *out, struct text method, struct text target)
{
    text_out_add(out, method);
    text_out_char(out, ' ');
    text_out_add(out, target);
    text_out_add(out, TEXT(" HTTP/1.1\r\n"));
}

static bool is_one_line(struct text t)
{
    for (size_t i = text_plain_len(t); i < t.len; i++) {
        char c = t.ptr[i];
        if (c == '\r' || c == '\n' || c == '\0')
            return false;
    }
    return true;
}

void http_write_field(struct text_out *out, struct text name, struct text value)
{
    if (name.len == 0 || !is_one_line(name) || !is_one_line(value))
        return;
    text_out_add(out, name);
    text_out_add(out, TEXT(": "));
    text_out_add(out, value);
    text_out_add(out, TEXT("\r\n"));
}

static void put_two(char *at, int value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
}

/* By hand, since strftime() would write the names of the locale. */
static void format_date(char line[sizeof(DATE_LINE)], int64_t second)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t when = (time_t)second;
    struct tm tm;

    ASSERT(gmtime_r(&when, &tm) != NULL);
    int year = tm.tm_year + 1900;
    memcpy(line, DATE_LINE, sizeof(DATE_LINE));
    memcpy(line + 6, days[tm.tm_wday], 3);
    put_two(line + 11, tm.tm_mday);
    memcpy(line + 14, months[tm.tm_mon], 3);
    put_two(line + 18, year / 100);
    put_two(line + 20, year % 100);
    put_two(line + 23, tm.tm_hour);
    put_two(line + 26, tm.tm_min);
    put_two(line + 29, tm.tm_sec);
}

void http_write_date(struct text_out *out, int64_t wall_us)
{
    int64_t second = wall_us / 1000000;

    if (date_cache.second != second || date_cache.line[0] == '\0') {
        format_date(date_cache.line, second);
        date_cache.second = second;
    }
    text_out_add(out, (struct text){date_cache.line, sizeof(DATE_LINE) - 1});
}

void http_write_end(struct text_out *out)
{
    text_out_add(out, TEXT("\r\n"));
}

void http_write_chunk_begin(struct text_out *out, size_t chunk_bytes)
{
    static const char digits[] = "0123456789abcdef";
    char line[HTTP_CHUNK_BEGIN_MAX];
    size_t at = sizeof(line);

    ASSERT(chunk_bytes > 0); /* a chunk of zero would end the body */
    line[--at] = '\n';
    line[--at] = '\r';
    for (size_t left = chunk_bytes; left > 0; left /= 16)
        line[--at] = digits[left % 16];
    text_out_add(out, (struct text){line + at, sizeof(line) - at});
}
