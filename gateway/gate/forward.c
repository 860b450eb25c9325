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

/* Written anew, or answered here. */
#define JOB_DROPS                                                                                  \
    (HTTP_NAME_BIT(NAME_HOST) | HTTP_NAME_BIT(NAME_CONTENT_LENGTH) | HTTP_NAME_BIT(NAME_EXPECT) |  \
     HTTP_NAME_BIT(NAME_X_REQUEST_ID) | HTTP_NAME_BIT(NAME_TRACEPARENT) |                          \
     HTTP_NAME_BIT(NAME_X_FORWARDED_PROTO) | HTTP_NAME_BIT(NAME_X_FORWARDED_FOR) |                 \
     HTTP_NAME_BIT(NAME_FORWARDED) | HTTP_NAME_BIT(NAME_VIA))
#define ANSWER_DROPS (HTTP_NAME_BIT(NAME_CONTENT_LENGTH) | HTTP_NAME_BIT(NAME_X_REQUEST_ID))

/* The names of a job's fields that stay here. */
static uint32_t job_drops(const struct request *req, bool keeps_trace)
{
    uint32_t drops = JOB_DROPS;

    if (req->operation == OPERATION_GENERATE)
        drops |= HTTP_NAME_BIT(NAME_ACCEPT_ENCODING);
    if (req->identity.hides_key)
        drops |= HTTP_NAME_BIT(NAME_AUTHORIZATION) | HTTP_NAME_BIT(NAME_X_API_KEY);
    if (!keeps_trace)
        drops |= HTTP_NAME_BIT(NAME_TRACESTATE);
    return drops;
}

/* Bytes of a field's line as it came, with its end: nothing in a line that was parsed can end it early.  0: it has to be
 * written. */
static size_t line_bytes(const struct http_field *field)
{
    const char *end = field->value.ptr + field->value.len;

    if (field->value.len == 0 || end[0] != '\r')
        return 0;
    return (size_t)(end - field->name.ptr) + 2;
}

static void write_field(struct text_out *out, const struct http_field *field)
{
    text_out_add(out, field->name);
    text_out_add(out, TEXT(": "));
    text_out_add(out, field->value);
    text_out_add(out, TEXT("\r\n"));
}

/* The fields that do not stay here; lines that follow each other are copied at once. */
static void copy_fields(struct text_out *out, const struct http_head *head, uint32_t drops,
                        bool (*also_drops)(struct text name))
{
    struct text run = TEXT(""); /* of lines to be copied */

    for (int i = 0; i < head->fields_len; i++) {
        const struct http_field *field = &head->fields[i];

        if (field->is_hop_by_hop || (drops & HTTP_NAME_BIT(field->id)) ||
            (field->id == NAME_OTHER && also_drops && also_drops(field->name)))
            continue;
        size_t len = line_bytes(field);
        if (len > 0 && field->name.ptr == run.ptr + run.len) {
            run.len += len;
            continue;
        }
        text_out_add(out, run);
        run = (struct text){field->name.ptr, len};
        if (len == 0)
            write_field(out, field);
    }
    text_out_add(out, run);
}

/* What a list field of this name said before, in all its lines, for something to be added to it. */
static void write_list_before(struct text_out *out, const struct http_head *before,
                              enum http_name id)
{
    if (!before || !head_has(before, id))
        return;
    for (int i = before->first[id]; i < before->fields_len; i++) {
        const struct http_field *field = &before->fields[i];

        if (field->id != id || !field->value.len)
            continue;
        text_out_add(out, field->value);
        text_out_add(out, TEXT(", "));
    }
}

/* What stood in these fields before is kept only where a trusted proxy said it, but for Via. */
static void write_forwarded(struct request *req, const struct http_head *head, struct text_out *out)
{
    const struct http_head *before = head_peer_is_trusted(req) ? head : NULL;
    char host[ADDRESS_TEXT_MAX];
    struct text_out print;

    text_out_init(&print, host, sizeof(host));
    address_short_print_host(&req->client->peer, &print);
    struct text peer = text_out_text(&print);
    bool is_v6 = memchr(peer.ptr, ':', peer.len) != NULL;

    text_out_add(out, TEXT("x-forwarded-for: "));
    write_list_before(out, before, NAME_X_FORWARDED_FOR);
    text_out_add(out, peer);
    text_out_add(out, TEXT("\r\nforwarded: "));
    write_list_before(out, before, NAME_FORWARDED);
    text_out_add(out, TEXT("for="));
    if (is_v6)
        text_out_add(out, TEXT("\"["));
    text_out_add(out, peer);
    if (is_v6)
        text_out_add(out, TEXT("]\""));
    text_out_add(out, TEXT(";proto=http\r\nvia: "));
    write_list_before(out, head, NAME_VIA);
    text_out_add(out, TEXT("1.1 meltguard\r\nx-forwarded-proto: http\r\n"));
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
    struct text trace = ids_sent_trace(head);

    copy_fields(out, head, job_drops(req, trace.len > 0), NULL);
    if (head->has_body || head->method == METHOD_POST)
        http_write_int_field(out, TEXT("content-length"), (int64_t)req->body.len);
    text_out_add(out, TEXT("x-request-id: "));
    text_out_add(out, text_of(req->id));
    text_out_add(out, TEXT("\r\ntraceparent: "));
    if (trace.len > 0)
        text_out_add(out, trace);
    else
        ids_make_trace(req->gate, out);
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

/* Path and host of a backend were judged with the configuration: there is no end of a line in them. */
static void write_host(const struct request *req, struct text_out *out)
{
    text_out_add(out, TEXT(" HTTP/1.1\r\nhost: "));
    text_out_add(out, text_of(req->backend->host_port));
    text_out_add(out, TEXT("\r\n"));
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
        text_out_add(out, TEXT("transfer-encoding: chunked\r\n"));
    }
}

static bool is_ours(struct text name)
{
    struct text prefix = TEXT("x-meltguard-");

    return name.len > prefix.len && text_equal_nocase((struct text){name.ptr, prefix.len}, prefix);
}

struct text forward_answer_head(struct request *req, const struct http_head *head)
{
    struct text_out out = scratch_out(req->gate);

    http_write_status(&out, head->status);
    copy_fields(&out, head, ANSWER_DROPS, is_ours);
    if (!head_has(head, NAME_DATE))
        http_write_date(&out, loop_wall_us(req->gate->loop));
    write_framing(req, head, &out);
    fields_write(req, &out);
    http_write_end(&out);
    return text_if_whole(&out);
}
