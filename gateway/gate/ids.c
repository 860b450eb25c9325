/* SPDX-License-Identifier: Apache-2.0 */
/* ids.c - ids that travel with a request.      Runs on: worker. */
#include "gate/ids.h"

#include <ctype.h>
#include <string.h>

static bool is_id_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_';
}

static bool is_id(struct text t)
{
    if (t.len == 0 || t.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (!is_id_char(t.ptr[i]))
            return false;
    }
    return true;
}

struct text ids_request(struct gate *gate, const struct http_head *head,
                        char made[REQUEST_ID_MADE_LEN + 1])
{
    struct text sent = head ? head_value(head, NAME_X_REQUEST_ID) : TEXT_NONE;

    if (is_id(sent))
        return sent;
    uint64_t random[2] = {gate_random(gate), gate_random(gate)};
    struct text_out out;

    text_out_init(&out, made, REQUEST_ID_MADE_LEN + 1);
    text_out_hex(&out, random, sizeof(random));
    return text_out_text(&out);
}

static bool is_lower_hex(const char *at, size_t len, bool may_be_zero)
{
    bool is_zero = true;

    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)at[i]) && !(at[i] >= 'a' && at[i] <= 'f'))
            return false;
        is_zero = is_zero && at[i] == '0';
    }
    return may_be_zero || !is_zero;
}

/* 00-<32 hex>-<16 hex>-<2 hex> */
static bool is_traceparent(struct text t)
{
    return t.len == TRACEPARENT_LEN && text_starts_with(t, TEXT("00-")) && t.ptr[35] == '-' &&
           t.ptr[52] == '-' && is_lower_hex(t.ptr + 3, 32, false) &&
           is_lower_hex(t.ptr + 36, 16, false) && is_lower_hex(t.ptr + 53, 2, true);
}

struct text ids_sent_trace(const struct http_head *head)
{
    struct text sent = head_value(head, NAME_TRACEPARENT);

    return is_traceparent(sent) ? sent : TEXT_NONE;
}

void ids_make_trace(struct gate *gate, struct text_out *out)
{
    uint64_t trace[2] = {gate_random(gate), gate_random(gate)};
    uint64_t parent = gate_random(gate);

    text_out_add(out, TEXT("00-"));
    text_out_hex(out, trace, sizeof(trace));
    text_out_char(out, '-');
    text_out_hex(out, &parent, sizeof(parent));
    text_out_add(out, TEXT("-00"));
}

enum status ids_forwarded_address(struct text t, struct address *out)
{
    char host_port[ADDRESS_TEXT_MAX];
    struct text_out with_port;
    bool is_bare_v6 = t.len > 0 && t.ptr[0] != '[' && memchr(t.ptr, ':', t.len) &&
                      memchr(t.ptr, ':', t.len) != memrchr(t.ptr, ':', t.len);

    if (t.len == 0 || t.len > 64 || text_starts_with(t, TEXT("unix:")))
        return ST_INVALID;
    if (!is_bare_v6 && address_parse(t, out) == ST_OK)
        return ST_OK;
    text_out_init(&with_port, host_port, sizeof(host_port));
    text_out_printf(&with_port, is_bare_v6 ? "[%.*s]:0" : "%.*s:0", TEXT_ARG(t));
    return address_parse(text_out_text(&with_port), out);
}
