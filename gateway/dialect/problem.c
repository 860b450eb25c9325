/* SPDX-License-Identifier: Apache-2.0 */
/* problem.c - application/problem+json (RFC 9457), and who prefers it (RFC 9110 12.5.1).      Runs on: worker. */
#include "dialect/dialect.h"

#include "base/json.h"

const char problem_content_type[] = "application/problem+json";

/* A quality value in thousandths: "1", "0.5", "0.125".  -1: it is none. */
static int quality(struct text t)
{
    if (t.len < 1 || t.len > 5 || (t.ptr[0] != '0' && t.ptr[0] != '1') ||
        (t.len > 1 && t.ptr[1] != '.'))
        return -1;
    int value = (t.ptr[0] - '0') * 1000;
    int unit = 100;
    for (size_t i = 2; i < t.len; i++, unit /= 10) {
        if (t.ptr[i] < '0' || t.ptr[i] > '9')
            return -1;
        value += (t.ptr[i] - '0') * unit;
    }
    return value > 1000 ? -1 : value;
}

/* Cuts the next element off; separators in quoted strings do not count. */
static bool next_element(struct text *rest, char separator, struct text *out)
{
    bool is_quoted = false;
    size_t i = 0;

    if (rest->len == 0)
        return false;
    for (; i < rest->len && (is_quoted || rest->ptr[i] != separator); i++) {
        if (rest->ptr[i] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
    }
    *out = text_trim((struct text){rest->ptr, i});
    size_t taken = i < rest->len ? i + 1 : i;
    rest->ptr += taken;
    rest->len -= taken;
    return true;
}

/* How closely a media range names an application/ type: 3 exactly, 1 by all types, 0 not at all. */
static int specificity(struct text range, struct text type)
{
    if (text_equal_nocase(range, type))
        return 3;
    if (text_equal_nocase(range, TEXT("application/*")))
        return 2;
    return text_equal(range, TEXT("*/*")) ? 1 : 0;
}

/* What Accept gives a type: the quality of the range that names it most closely.  Parameters other than q are not
 * compared, as neither type has any. */
static int accepted(struct text accept, struct text type)
{
    struct text element;
    int best = 0, value = 0;

    while (next_element(&accept, ',', &element)) {
        struct text range = TEXT_NONE, parameter;
        int q = 1000;

        if (!next_element(&element, ';', &range))
            continue;
        while (next_element(&element, ';', &parameter)) {
            struct text name = TEXT_NONE;
            if (next_element(&parameter, '=', &name) && text_equal_nocase(name, TEXT("q")))
                q = quality(text_trim(parameter));
        }
        int how = specificity(range, type);
        if (q < 0 || how < best || how == 0)
            continue;
        value = how == best ? MAX(value, q) : q;
        best = how;
    }
    return value;
}

static void member(struct text_out *body, const char *begin, struct text value)
{
    if (!value.ptr)
        return;
    text_out_add(body, text_of(begin));
    json_out_string(body, value);
}

void problem_refuse(const struct refusal *refusal, struct text_out *body)
{
    const char *type = refusal->problem_type ? refusal->problem_type : "about:blank";

    member(body, "{\"type\":", text_of(type));
    member(body, ",\"title\":", text_of(refusal->title));
    text_out_add(body, TEXT(",\"status\":"));
    text_out_int(body, refusal->status);
    member(body, ",\"detail\":", refusal->message);
    if (refusal->violated_policy) {
        member(body, ",\"violated-policies\":[", text_of(refusal->violated_policy));
        text_out_char(body, ']');
    }
    member(body, ",\"reason\":", text_of(refusal->reason));
    member(body, ",\"code\":", text_of(refusal->code));
    member(body, ",\"param\":", refusal->param);
    text_out_char(body, '}');
}

bool problem_is_preferred(struct text accept)
{
    /* What nearly everybody sends. */
    if (accept.len == 0 || text_equal(accept, TEXT("*/*")) ||
        text_equal(accept, TEXT("application/json")))
        return false;
    return accepted(accept, TEXT("application/problem+json")) >
           accepted(accept, TEXT("application/json"));
}
