/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - the heads that are passed on: of the job to the backend, of the answer to the client.      Runs on: worker.
 * Hop-by-hop fields stay here (RFC 9110 7.6.1); so do those that the gateway writes itself, and the key where it was meant
 * for this gateway.  Accept-Encoding of a counted job stays here too: only an answer in clear can be counted. */
#include <string.h>

#include "gate/ids.h"
#include "gate/request.h"
#include "http/writer.h"

/* What a job's head is made from, whichever backend it goes to. */
struct job_head {
    struct text method;
    struct text path;   /* with the query */
    struct text fields; /* but Host; and the end of the head */
};

static bool job_drops_field(const struct request *req, const struct http_field *field,
                            bool keeps_trace)
{
    if (field->is_hop_by_hop)
        return true;
    switch ((int)field->id) {
    case NAME_HOST:
    case NAME_CONTENT_LENGTH:
    case NAME_EXPECT:
    case NAME_X_REQUEST_ID:
    case NAME_TRACEPARENT:
    case NAME_X_FORWARDED_PROTO:
    case NAME_X_FORWARDED_FOR:
    case NAME_FORWARDED:
    case NAME_VIA:
        return true;
    case NAME_ACCEPT_ENCODING:
        return req->operation == OPERATION_GENERATE;
    case NAME_AUTHORIZATION:
    case NAME_X_API_KEY:
        return req->identity.hides_key;
    case NAME_TRACESTATE:
        return !keeps_trace;
    default:
        return false;
    }
}

/* A line of a head that was parsed, as it came: nothing in it can end it early. */
static void copy_field(struct text_out *out, const struct http_field *field)
{
    const char *end = field->value.ptr + field->value.len;

    if (field->value.len > 0 && end[0] == '\r') {
        text_out_add(out, (struct text){field->name.ptr, (size_t)(end - field->name.ptr) + 2});
        return;
    }
    text_out_add(out, field->name);
    text_out_add(out, TEXT(": "));
    text_out_add(out, field->value);
    text_out_add(out, TEXT("\r\n"));
}

/* All lines of a list field as one, and what is added to it.  What stood before is kept only where a trusted proxy said
 * it. */
static void write_appended(struct text_out *out, enum http_name id, const struct http_head *before,
                           struct text added)
{
    text_out_add(out, http_name_text(id));
    text_out_add(out, TEXT(": "));
    for (int i = 0; before && i < before->fields_len; i++) {
        const struct http_field *field = &before->fields[i];

        if (field->id != id || !field->value.len)
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
    struct address from = address_widen(&req->client->peer);
    struct text_out peer, forwarded;

    text_out_init(&peer, host, sizeof(host));
    address_print_host(&from, &peer);
    bool is_v6 = memchr(host, ':', peer.len) != NULL;

    text_out_init(&forwarded, element, sizeof(element));
    text_out_add(&forwarded, is_v6 ? TEXT("for=\"[") : TEXT("for="));
    text_out_add(&forwarded, text_out_text(&peer));
    text_out_add(&forwarded, is_v6 ? TEXT("]\";proto=http") : TEXT(";proto=http"));
    write_appended(out, NAME_X_FORWARDED_FOR, before, text_out_text(&peer));
    write_appended(out, NAME_FORWARDED, before, text_out_text(&forwarded));
    write_appended(out, NAME_VIA, head, TEXT("1.1 meltguard"));
    text_out_add(out, TEXT("x-forwarded-proto: http\r\n"));
}

static void write_path(const struct http_head *head, struct text_out *out)
{
    text_out_add(out, head->path);
    if (head->query.ptr) {
        text_out_char(out, '?');
        text_out_add(out, head->query);
    }
}

static void write_job_fields(struct request *req, const struct http_head *head,
                             struct text_out *out)
{
    char trace[TRACEPARENT_LEN + 1];
    bool keeps_trace = ids_traceparent(req->gate, head, trace);

    for (int i = 0; i < head->fields_len; i++) {
        if (!job_drops_field(req, &head->fields[i], keeps_trace))
            copy_field(out, &head->fields[i]);
    }
    if (head->has_body || head->method == METHOD_POST)
        http_write_int_field(out, TEXT("content-length"), (int64_t)req->body.len);
    text_out_add(out, TEXT("x-request-id: "));
    text_out_add(out, text_of(req->id));
    text_out_add(out, TEXT("\r\ntraceparent: "));
    text_out_add(out, (struct text){trace, TRACEPARENT_LEN});
    text_out_add(out, TEXT("\r\n"));
    write_forwarded(req, head, out);
    http_write_end(out);
}

static void write_job_start(const struct request *req, struct text method, struct text_out *out)
{
    text_out_add(out, method);
    text_out_char(out, ' ');
    text_out_add(out, text_of(req->backend->path));
}

static void write_host(const struct request *req, struct text_out *out)
{
    text_out_add(out, TEXT(" HTTP/1.1\r\n"));
    http_write_field(out, TEXT("host"), text_of(req->backend->host_port));
}

static struct text_out scratch_out(const struct gate *gate)
{
    struct text_out out;

    text_out_init(&out, gate->scratch, gate->scratch_size);
    return out;
}

static struct text text_if_whole(const struct text_out *out)
{
    return out->is_full ? TEXT_NONE : text_out_text(out);
}

struct text forward_job_head(struct request *req)
{
    const struct job_head *kept = req->job_head;
    struct text_out out = scratch_out(req->gate);

    if (kept) {
        write_job_start(req, kept->method, &out);
        text_out_add(&out, kept->path);
        write_host(req, &out);
        text_out_add(&out, kept->fields);
    } else {
        const struct http_head *head = &req->client->slab->head;

        write_job_start(req, head->method_text, &out);
        write_path(head, &out);
        write_host(req, &out);
        write_job_fields(req, head, &out);
    }
    return text_if_whole(&out);
}

bool forward_keep_job(struct request *req)
{
    const struct http_head *head = &req->client->slab->head;
    struct job_head *kept = arena_alloc(&req->arena, sizeof(*kept));
    struct text_out out = scratch_out(req->gate);

    write_path(head, &out);
    size_t path_len = out.len;

    write_job_fields(req, head, &out);
    size_t fields_len = out.len - path_len;

    text_out_add(&out, head->method_text);
    struct text all = arena_copy(&req->arena, text_if_whole(&out));

    if (!kept || !all.len)
        return false;
    kept->path = (struct text){all.ptr, path_len};
    kept->fields = (struct text){all.ptr + path_len, fields_len};
    kept->method = (struct text){all.ptr + path_len + fields_len, head->method_text.len};
    req->job_head = kept;
    return true;
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
    if (field->id == NAME_OTHER)
        return field->is_hop_by_hop || is_ours(field->name);
    return field->is_hop_by_hop || field->id == NAME_CONTENT_LENGTH ||
           field->id == NAME_X_REQUEST_ID;
}

struct text forward_answer_head(struct request *req, const struct http_head *head)
{
    struct text_out out = scratch_out(req->gate);

    http_write_status(&out, head->status);
    for (int i = 0; i < head->fields_len; i++) {
        if (!answer_drops_field(&head->fields[i]))
            copy_field(&out, &head->fields[i]);
    }
    if (!head_field(head, TEXT("date")).ptr)
        http_write_date(&out, loop_wall_us(req->gate->loop));
    write_framing(req, head, &out);
    fields_write(req, &out);
    http_write_end(&out);
    return text_if_whole(&out);
}
