/* SPDX-License-Identifier: Apache-2.0 */
/* accesslog.c - the access log, and LOG, the last phase.      Runs on: worker.
 * A line is a row of fields; the format decides how a field looks.  A log that cannot be written loses lines, never
 * requests. */
#include "gate/accesslog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "core/cost.h"
#include "gate/request.h"

#define LINES_BYTES    65536
#define LINE_MAX_BYTES 2048
#define FLUSH_US       100000

struct line {
    struct text_out out;
    enum access_format format;
};

static void field_begin(struct line *line, const char *name)
{
    bool is_json = line->format == ACCESS_FORMAT_JSON;

    if (line->out.len > 0)
        text_out_char(&line->out, is_json ? ',' : ' ');
    else if (is_json)
        text_out_char(&line->out, '{');
    if (is_json)
        text_out_char(&line->out, '"');
    text_out_add(&line->out, text_of(name));
    text_out_add(&line->out, is_json ? TEXT("\":") : TEXT("="));
}

static void field_text(struct line *line, const char *name, struct text value)
{
    if (!value.len)
        return;
    field_begin(line, name);
    if (line->format == ACCESS_FORMAT_JSON)
        json_out_string(&line->out, value);
    else
        text_out_add(&line->out, value);
}

static void field_word(struct line *line, const char *name, const char *value)
{
    field_text(line, name, text_of(value));
}

static void field_int(struct line *line, const char *name, int64_t value)
{
    field_begin(line, name);
    text_out_int(&line->out, value);
}

static void field_ms(struct line *line, const char *name, int64_t from_us, int64_t to_us)
{
    if (from_us && to_us)
        field_int(line, name, (to_us - from_us) / 1000);
}

static void field_time(struct line *line, int64_t wall_us)
{
    char buf[40];
    struct text_out stamp;

    text_out_init(&stamp, buf, sizeof(buf));
    text_out_time(&stamp, wall_us / 1000000);
    text_out_char(&stamp, '.');
    text_out_digits(&stamp, (unsigned)(wall_us / 1000 % 1000), 3);
    text_out_char(&stamp, 'Z');
    field_text(line, "time", text_out_text(&stamp));
}

static void add_name(struct text_out *names, const char *name)
{
    if (names->len > 0)
        text_out_char(names, ',');
    text_out_add(names, text_of(name));
}

/* What is on trial, and would have refused. */
static void trial_fields(struct line *line, const struct request *req)
{
    const struct reservation *r = req->reservation;
    char buf[256];
    struct text_out names;

    if (req->trial != REASON_NONE)
        field_word(line, "trial", admission_reason_name(req->trial));
    text_out_init(&names, buf, sizeof(buf));
    for (int i = 0; i < r->limits_len; i++) {
        if (r->limits[i].is_over)
            add_name(&names, limit_name(r->limits[i].limit.rule.kind));
    }
    for (int i = 0; i < SERVICE_ROWS; i++) {
        if (req->share->over >> i & 1)
            add_name(&names, service_row_name(i));
    }
    field_text(line, "trial_limit", text_out_text(&names));
}

/* What was let pass unseen by the store. */
static void quota_field(struct line *line, const struct request *req)
{
    if (req->is_without_store)
        field_word(line, "quota", "open");
    else if (req->reservation->state == RESERVATION_SETTLED && req->is_local)
        field_word(line, "quota", "local");
}

static void account_fields(struct line *line, const struct request *req)
{
    if (!req->is_known)
        return;
    field_word(line, "account", req->identity.account.id);
    field_word(line, "tier", req->config->policy.tiers[req->identity.account.tier].name);
}

static void write_fields(struct line *line, const struct request *req, int64_t now_us)
{
    const struct outcome_row *row = &outcome_rows[req->outcome];

    field_word(line, "req", req->id);
    account_fields(line, req);
    field_word(line, "dialect", req->dialect->name);
    field_word(line, "op", operation_name(req->operation));
    if (req->job.images) {
        field_int(line, "images", req->job.images);
        field_int(line, "cost",
                  req->charged_images * cost_image_units(&req->config->policy.prices, &req->job));
    }
    if (req->verdict.kind != VERDICT_NONE)
        field_word(line, "verdict", admission_verdict_name(req->verdict.kind));
    trial_fields(line, req);
    quota_field(line, req);
    if (row->status)
        field_word(line, "reason", row->word);
    field_ms(line, "queue_ms", req->queued_us, req->slot_us);
    if (req->backend)
        field_word(line, "backend", req->backend->name);
    field_ms(line, "ttfb_ms", req->sent_us, req->first_byte_us);
    field_ms(line, "total_ms", req->begun_us, now_us);
    if (req->answer_status)
        field_int(line, "status", req->answer_status);
    field_word(line, "outcome", row->word);
    field_word(line, "phase", phase_name(req->ended_in));
}

static void flush(struct accesslog *log)
{
    size_t at = 0;

    timer_clear(&log->timer);
    while (at < log->len) {
        ssize_t len = write(log->fd, log->lines + at, log->len - at);

        if (len <= 0)
            break;
        at += (size_t)len;
    }
    log->len = 0;
}

static void on_timer(struct timer *timer)
{
    flush(container_of(timer, struct accesslog, timer));
}

enum status accesslog_open(struct accesslog *log, struct loop *loop, const struct config *config)
{
    const char *path = config->access_log;

    log->loop = loop;
    log->format = (enum access_format)config->access_format;
    log->fd = -1;
    timer_init(&log->timer, on_timer);
    if (strcmp(path, "off") == 0)
        return ST_OK;
    log->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO
                                     : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log->fd < 0) {
        log_event(LOG_ERROR, "access_log_failed", "path=%s error=\"%m\"", path);
        return ST_UNAVAILABLE;
    }
    log->lines = malloc(LINES_BYTES);
    return log->lines ? ST_OK : ST_NOMEM;
}

void accesslog_write(struct accesslog *log, const struct request *req)
{
    struct line line = {.format = log->format};

    if (log->fd < 0)
        return;
    if (log->len + LINE_MAX_BYTES > LINES_BYTES)
        flush(log);
    text_out_init(&line.out, log->lines + log->len, LINE_MAX_BYTES);
    field_time(&line, loop_wall_us(log->loop));
    write_fields(&line, req, loop_now_us(log->loop));
    text_out_add(&line.out, log->format == ACCESS_FORMAT_JSON ? TEXT("}\n") : TEXT("\n"));
    log->len += line.out.len;
    if (!timer_is_set(&log->timer))
        timer_set(log->loop, &log->timer, loop_now_us(log->loop) + FLUSH_US);
}

void accesslog_close(struct accesslog *log)
{
    if (log->fd < 0)
        return;
    flush(log);
    if (log->fd > STDERR_FILENO)
        close(log->fd);
    free(log->lines);
}

enum status log_begin(struct request *req)
{
    struct gate *gate = req->gate;
    int tier = request_stats_tier(req);

    stats_add(&gate->stats, STAT_REQUESTS, tier * OUTCOMES_LEN + (int)req->outcome, 1);
    stats_observe_us(&gate->stats, STAT_REQUEST_SECONDS, tier,
                     loop_now_us(gate->loop) - req->begun_us);
    accesslog_write(&gate->log, req);
    return ST_OK;
}

enum step log_end(struct request *req, enum status st)
{
    UNUSED(req);
    ASSERT(st == ST_OK);
    return STEP_NEXT;
}
