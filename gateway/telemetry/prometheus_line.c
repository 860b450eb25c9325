/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_line.c - the lines of Prometheus' text format.      Runs on: any thread. */
#include "telemetry/prometheus_line.h"

#include <string.h>

#include "telemetry/decimal.h"

static void cut(struct text *t, size_t len)
{
    t->ptr += len;
    t->len -= len;
}

static void skip_blanks(struct text *t)
{
    while (t->len > 0 && (t->ptr[0] == ' ' || t->ptr[0] == '\t'))
        cut(t, 1);
}

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (!is_first && c >= '0' && c <= '9');
}

/* The name of a metric or label that *t begins with; perhaps empty. */
static struct text cut_name(struct text *t)
{
    struct text name = {t->ptr, 0};

    while (name.len < t->len && is_name_char(t->ptr[name.len], name.len == 0))
        name.len++;
    cut(t, name.len);
    skip_blanks(t);
    return name;
}

static enum status cut_char(struct text *t, char c)
{
    if (t->len == 0 || t->ptr[0] != c)
        return ST_INVALID;
    cut(t, 1);
    skip_blanks(t);
    return ST_OK;
}

/* What stands in quotes, with its escapes. */
static enum status cut_quoted(struct text *t, struct text *out)
{
    size_t i = 1;

    if (t->len == 0 || t->ptr[0] != '"')
        return ST_INVALID;
    while (i < t->len && t->ptr[i] != '"')
        i += t->ptr[i] == '\\' ? 2 : 1;
    if (i >= t->len)
        return ST_INVALID;
    *out = (struct text){t->ptr + 1, i - 1};
    cut(t, i + 1);
    skip_blanks(t);
    return ST_OK;
}

/* One name="value", and the comma behind it where there is one. */
static enum status cut_label(struct text *t, struct text *out_name, struct text *out_value)
{
    *out_name = cut_name(t);
    if (out_name->len == 0 || cut_char(t, '=') || cut_quoted(t, out_value))
        return ST_INVALID;
    bool is_last = t->len == 0 || t->ptr[0] == '}';
    return is_last ? ST_OK : cut_char(t, ',');
}

static enum status cut_labels(struct text *t, struct text *out)
{
    struct text name, value;

    *out = TEXT_NONE;
    if (t->len == 0 || t->ptr[0] != '{')
        return ST_OK;
    cut(t, 1);
    skip_blanks(t);
    const char *begin = t->ptr;
    while (t->len > 0 && t->ptr[0] != '}')
        if (cut_label(t, &name, &value))
            return ST_INVALID;
    *out = (struct text){begin, (size_t)(t->ptr - begin)};
    return cut_char(t, '}');
}

static struct text cut_word(struct text *t)
{
    struct text word = {t->ptr, 0};

    while (word.len < t->len && word.ptr[word.len] != ' ' && word.ptr[word.len] != '\t')
        word.len++;
    cut(t, word.len);
    skip_blanks(t);
    return word;
}

static enum status read_sample(struct text t, struct prometheus_line *out)
{
    int64_t unused;

    out->name = cut_name(&t);
    if (out->name.len == 0 || cut_labels(&t, &out->labels))
        return ST_INVALID;
    out->value = cut_word(&t);
    if (decimal_scaled(out->value, 0, &unused) == ST_INVALID)
        return ST_INVALID;
    if (t.len == 0 || t.ptr[0] == '#')
        return ST_OK;
    /* A timestamp: when the exporter measured, by a clock that is not ours. */
    if (decimal_scaled(cut_word(&t), 0, &unused) == ST_INVALID)
        return ST_INVALID;
    return t.len == 0 || t.ptr[0] == '#' ? ST_OK : ST_INVALID;
}

static struct text cut_line(struct text *body)
{
    const char *end = memchr(body->ptr, '\n', body->len);
    struct text line = {body->ptr, end ? (size_t)(end - body->ptr) : body->len};

    cut(body, end ? line.len + 1 : line.len);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return text_trim(line);
}

enum status prometheus_line_next(struct text *body, struct prometheus_line *out)
{
    while (body->len > 0) {
        struct text line = cut_line(body);

        if (line.len > 0 && line.ptr[0] != '#')
            return read_sample(line, out);
    }
    return ST_CLOSED;
}

struct text prometheus_label(const struct prometheus_line *line, struct text name)
{
    struct text rest = line->labels;
    struct text found, value;

    while (rest.len > 0) {
        if (cut_label(&rest, &found, &value))
            break;
        if (text_equal(found, name))
            return value;
    }
    return TEXT_NONE;
}
