/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - the heads that are passed on: of the job to the backend, of the answer to the client.      Runs on: worker.
 * Hop-by-hop fields stay here (RFC 9110 7.6.1); so do those that the gateway writes itself, and the key where it was meant
 * for this gateway.  Accept-Encoding of a counted job stays here too: only an answer in clear can be counted. */
#include <string.h>

#include "gate/request.h"
#include "http/writer.h"

/* Room for the fields that are added to a head, and for the path of a backend. */
#define ADDED_BYTES 4096

enum drop { DROP_ALWAYS, DROP_IF_COUNTED, DROP_IF_KEY_IS_OURS, DROP_IF_NEW_TRACE };

static const struct {
    struct text name;
    enum drop drop;
} job_drops[] = {
    {{"host", 4}, DROP_ALWAYS},
    {{"content-length", 14}, DROP_ALWAYS},
    {{"expect", 6}, DROP_ALWAYS},
    {{"x-request-id", 12}, DROP_ALWAYS},
    {{"traceparent", 11}, DROP_ALWAYS},
    {{"x-forwarded-proto", 17}, DROP_ALWAYS},
    {{"x-forwarded-for", 15}, DROP_ALWAYS},
    {{"forwarded", 9}, DROP_ALWAYS},
    {{"via", 3}, DROP_ALWAYS},
    {{"accept-encoding", 15}, DROP_IF_COUNTED},
    {{"tracestate", 10}, DROP_IF_NEW_TRACE},
    {{"authorization", 13}, DROP_IF_KEY_IS_OURS},
    {{"x-api-key", 9}, DROP_IF_KEY_IS_OURS},
};

static bool job_drops_field(const struct request *req, const struct http_field *field)
{
    if (field->is_hop_by_hop)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(job_drops); i++) {
        if (!text_equal_nocase(field->name, job_drops[i].name))
            continue;
        switch (job_drops[i].drop) {
        case DROP_ALWAYS:
            return true;
        case DROP_IF_COUNTED:
            return req->operation == OPERATION_GENERATE;
        case DROP_IF_KEY_IS_OURS:
            return req->identity.hides_key;
        case DROP_IF_NEW_TRACE:
            return !req->keeps_tracestate;
        }
    }
    return false;
}

/* All lines of a list field as one, and what is added to it.  What stood before is kept only where a trusted proxy said
 * it. */
static void write_appended(struct text_out *out, struct text name, const struct http_head *before,
                           struct text added)
{
    text_out_add(out, name);
    text_out_add(out, TEXT(": "));
    for (int i = 0; before && i < before->fields_len; i++) {
        const struct http_field *field = &before->fields[i];

        if (!field->value.len || !http_name_equal(field->name, name))
            continue;
        text_out_add(out, field->value);
        text_out_add(out, TEXT(", "));
    }
    text_out_add(out, added);
    text_out_add(out, TEXT("\r\n"));
}

static void write_forwarded(struct request *req, const struct http_head *head, struct text_out *out)
{
    const struct http_head *before = head_peer_is_trusted(req) ? head : NULL;
    char host[ADDRESS_TEXT_MAX], element[ADDRESS_TEXT_MAX + 64];
    struct text_out peer, forwarded;

    text_out_init(&peer, host, sizeof(host));
    address_print_host(&req->client->peer, &peer);
    text_out_init(&forwarded, element, sizeof(element));
    if (memchr(host, ':', peer.len))
        text_out_printf(&forwarded, "for=\"[%s]\";proto=http", host);
    else
        text_out_printf(&forwarded, "for=%s;proto=http", host);
    write_appended(out, TEXT("x-forwarded-for"), before, text_out_text(&peer));
    write_appended(out, TEXT("forwarded"), before, text_out_text(&forwarded));
    write_appended(out, TEXT("via"), head, TEXT("1.1 meltguard"));
    http_write_field(out, TEXT("x-forwarded-proto"), TEXT("http"));
}

/* A field takes at most one byte more than it took before, and was at least four bytes long. */
static size_t room_for(const struct http_head *head)
{
    return head->head_bytes * 2 + ADDED_BYTES;
}

static void write_target(const struct request *req, const struct http_head *head,
                         struct text_out *out)
{
    text_out_add(out, head->method_text);
    text_out_char(out, ' ');
    text_out_add(out, text_of(req->backend->path));
    text_out_add(out, head->path);
    if (head->query.ptr) {
        text_out_char(out, '?');
        text_out_add(out, head->query);
    }
    text_out_add(out, TEXT(" HTTP/1.1\r\n"));
}

struct text forward_job_head(struct request *req, const struct http_head *head)
{
    struct text_out out;

    /* The same for each backend that is tried. */
    if (!req->job_head_buf)
        req->job_head_buf = arena_alloc(&req->arena, room_for(head));
    if (!req->job_head_buf)
        return TEXT_NONE;
    text_out_init(&out, req->job_head_buf, room_for(head));
    write_target(req, head, &out);
    http_write_field(&out, TEXT("host"), text_of(req->backend->host_port));
    for (int i = 0; i < head->fields_len; i++) {
        if (!job_drops_field(req, &head->fields[i]))
            http_write_field(&out, head->fields[i].name, head->fields[i].value);
    }
    if (head->has_body || head->method == METHOD_POST)
        http_write_int_field(&out, TEXT("content-length"), (int64_t)req->body.len);
    http_write_field(&out, TEXT("x-request-id"), text_of(req->id));
    http_write_field(&out, TEXT("traceparent"), text_of(req->traceparent));
    write_forwarded(req, head, &out);
    http_write_end(&out);
    return out.is_full ? TEXT_NONE : text_out_text(&out);
}

/* How the answer's end will be told to this client (RFC 9112 6.3). */
static void write_framing(struct request *req, const struct http_head *head, struct text_out *out)
{
    if (head->content_length >= 0 && !head->is_chunked) {
        http_write_int_field(out, TEXT("content-length"), head->content_length);
    } else if (head->has_body && req->is_version_1_0) {
        req->ends_by_close = true;
        req->client->must_close = true;
    } else if (head->has_body) {
        req->is_rechunked = true;
        http_write_field(out, TEXT("transfer-encoding"), TEXT("chunked"));
    }
}

static bool is_ours(struct text name)
{
    struct text prefix = TEXT("x-meltguard-");

    return name.len > prefix.len && text_equal_nocase((struct text){name.ptr, prefix.len}, prefix);
}

static bool answer_drops_field(const struct http_field *field)
{
    return field->is_hop_by_hop || text_equal_nocase(field->name, TEXT("content-length")) ||
           text_equal_nocase(field->name, TEXT("x-request-id")) || is_ours(field->name);
}

struct text forward_answer_head(struct request *req, const struct http_head *head)
{
    struct text_out out;
    char *buf = arena_alloc(&req->arena, room_for(head));

    if (!buf)
        return TEXT_NONE;
    text_out_init(&out, buf, room_for(head));
    http_write_status(&out, head->status);
    for (int i = 0; i < head->fields_len; i++) {
        if (!answer_drops_field(&head->fields[i]))
            http_write_field(&out, head->fields[i].name, head->fields[i].value);
    }
    if (!head_field(head, TEXT("date")).ptr)
        http_write_date(&out, loop_wall_us(req->gate->loop));
    write_framing(req, head, &out);
    fields_write(req, &out);
    http_write_end(&out);
    return out.is_full ? TEXT_NONE : text_out_text(&out);
}
