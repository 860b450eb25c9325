/* SPDX-License-Identifier: Apache-2.0 */
/* fields.c - the fields that the gateway adds to answers.      Runs on: worker.
 * RateLimit-Policy and RateLimit follow draft-ietf-httpapi-ratelimit-headers-10 (Structured Fields, RFC 9651); the
 * X-RateLimit-*-Images fields are those of the OpenAI SDKs, with the reset as a duration. */
#include "core/cost.h"
#include "gate/request.h"
#include "http/writer.h"

static int64_t seconds_to_reset(const struct request *req, const struct limit *limit)
{
    int64_t now_s = quota_now_us(req->gate->quota) / 1000000;

    return MAX(limit->window.end_s - now_s, 0);
}

static void write_policy(const struct reservation *r, struct text_out *out)
{
    text_out_add(out, TEXT("RateLimit-Policy: "));
    for (int i = 0; i < r->limits_len; i++) {
        const struct limit *limit = &r->limits[i].limit;

        text_out_printf(out, "%s\"%s\";q=%lld;w=%lld", i ? ", " : "", limit_name(limit->kind),
                        (long long)(limit->units / UNITS_PER_IMAGE),
                        (long long)(limit->window.end_s - limit->window.start_s));
    }
    text_out_add(out, TEXT("\r\n"));
}

/* Units that this request held and does not use: given back, or about to be. */
static int64_t returned_units(const struct request *req)
{
    const struct reservation *r = &req->reservation;

    if (r->state == RESERVATION_SETTLED)
        return r->held_units - r->used_units;
    return req->answer_status && req->answer_status / 100 != 2 ? r->held_units : 0;
}

static int64_t images_left(const struct request *req, const struct reserved_limit *limit)
{
    int64_t returned = returned_units(req);

    return MIN(reserved_limit_left(limit) + returned, limit->limit.units) / UNITS_PER_IMAGE;
}

static void write_limit(const struct request *req, const struct reserved_limit *limit,
                        struct text_out *out)
{
    int64_t reset_s = seconds_to_reset(req, &limit->limit);
    int64_t left = images_left(req, limit);

    text_out_printf(out, "RateLimit: \"%s\";r=%lld;t=%lld\r\n", limit_name(limit->limit.kind),
                    (long long)left, (long long)reset_s);
    http_write_int_field(out, TEXT("X-RateLimit-Limit-Images"),
                         limit->limit.units / UNITS_PER_IMAGE);
    http_write_int_field(out, TEXT("X-RateLimit-Remaining-Images"), left);
    text_out_printf(out, "X-RateLimit-Reset-Images: %llds\r\n", (long long)reset_s);
}

/* The store was asked about these limits, and answered. */
static bool knows_limits(const struct request *req)
{
    const struct reservation *r = &req->reservation;

    return r->limits_len > 0 && (r->state != RESERVATION_NONE || r->refused_by >= 0);
}

static void write_connection(struct request *req, struct text_out *out)
{
    if (atomic_load(&req->gate->shared->is_draining))
        req->client->must_close = true;
    if (req->client->must_close)
        http_write_field(out, TEXT("connection"), TEXT("close"));
    else if (req->is_version_1_0)
        http_write_field(out, TEXT("connection"), TEXT("keep-alive"));
}

void fields_write(struct request *req, struct text_out *out)
{
    http_write_field(out, TEXT("x-request-id"), text_of(req->id));
    if (knows_limits(req)) {
        write_policy(&req->reservation, out);
        write_limit(req, reservation_tightest(&req->reservation), out);
    }
    write_connection(req, out);
}
