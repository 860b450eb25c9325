/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - see control.h. */
#include "simgpu/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum kind { KIND_COUNT, KIND_FLAG, KIND_SWITCH, KIND_NUMBER, KIND_METRICS };

struct row {
    struct text key;
    enum kind kind;
    size_t offset;
    double low, high;
};

#define ROW(key, kind, field, low, high)                                                           \
    {                                                                                              \
        {key, sizeof(key) - 1}, kind, offsetof(struct controls, field), low, high                  \
    }
/* clang-format off */
static const struct row rows[] = {
    ROW("fail_next",         KIND_COUNT,   fail_next,         0,   1e9),
    ROW("fail_status",       KIND_COUNT,   fail_status,       400, 599),
    ROW("hang_next",         KIND_COUNT,   hang_next,         0,   1e9),
    ROW("drop_next",         KIND_COUNT,   drop_next,         0,   1e9),
    ROW("garbage_next",      KIND_COUNT,   garbage_next,      0,   1e9),
    ROW("reset_next",        KIND_COUNT,   reset_next,        0,   1e9),
    ROW("short_next",        KIND_COUNT,   short_next,        0,   1e9),
    ROW("stall_next",        KIND_COUNT,   stall_next,        0,   1e9),
    ROW("short_images",      KIND_COUNT,   short_images,      0,   1e9),
    ROW("interim_next",      KIND_COUNT,   interim_next,      0,   1e9),
    ROW("close_next",        KIND_COUNT,   close_next,        0,   1e9),
    ROW("delay_ms",          KIND_COUNT,   delay_ms,          0,   3600000),
    ROW("queue_depth",       KIND_COUNT,   queue_depth,       0,   1e9),
    ROW("chunked",           KIND_FLAG,    is_chunked,        0,   1),
    ROW("gzip",              KIND_FLAG,    is_gzip,           0,   1),
    ROW("hop_fields",        KIND_FLAG,    has_hop_fields,    0,   1),
    ROW("close_idle",        KIND_FLAG,    close_idle,        0,   1),
    ROW("pin",               KIND_SWITCH,  pin,               0,   1),
    ROW("temperature",       KIND_NUMBER,  temperature,       -50, 200),
    ROW("seconds_per_image", KIND_NUMBER,  seconds_per_image, 0,   3600),
    ROW("metrics",           KIND_METRICS, metrics_mode,      0,   0),
};
/* clang-format on */

static const char *const metrics_words[] = {"normal", "nan", "missing", "sentinel", "hang", "off"};

struct reader {
    struct controls controls; /* the copy that becomes true when all of it was understood */
    const struct row *row;    /* of the key read last */
    char *error;
};

static bool complain(struct reader *reader, const char *what, struct text t)
{
    snprintf(reader->error, 200, "%s: %.*s", what, (int)MIN(t.len, 80U), t.ptr);
    return false;
}

static const struct row *find_row(struct text key)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (text_equal(rows[i].key, key))
            return &rows[i];
    }
    return NULL;
}

static bool set_number(struct reader *reader, void *place, struct text t)
{
    const struct row *row = reader->row;
    char digits[40];
    double value;

    snprintf(digits, sizeof(digits), "%.*s", TEXT_ARG(t));
    value = strtod(digits, NULL);
    if (!(value >= row->low && value <= row->high))
        return complain(reader, "out of range", row->key);
    if (row->kind == KIND_NUMBER)
        *(double *)place = value;
    else
        *(int64_t *)place = (int64_t)value;
    return true;
}

static bool set_metrics(struct reader *reader, int64_t *place, struct text t)
{
    for (size_t i = 0; i < ARRAY_LEN(metrics_words); i++) {
        if (text_equal(text_of(metrics_words[i]), t)) {
            *place = (int64_t)i;
            return true;
        }
    }
    return complain(reader, "no such mode of metrics", t);
}

static bool set(struct reader *reader, enum json_kind kind, struct text t)
{
    const struct row *row = reader->row;
    void *place = (char *)&reader->controls + row->offset;
    bool is_boolean = kind == JSON_TRUE || kind == JSON_FALSE;

    if (row->offset == offsetof(struct controls, queue_depth) && kind == JSON_NULL)
        reader->controls.queue_depth = -1;
    else if (row->kind == KIND_FLAG && is_boolean)
        *(bool *)place = kind == JSON_TRUE;
    else if (row->kind == KIND_SWITCH && is_boolean)
        *(int64_t *)place = kind == JSON_TRUE;
    else if (row->kind == KIND_METRICS && kind == JSON_STRING)
        return set_metrics(reader, place, t);
    else if ((row->kind == KIND_COUNT || row->kind == KIND_NUMBER) && kind == JSON_NUMBER)
        return set_number(reader, place, t);
    else
        return complain(reader, "wrong kind of value", row->key);
    return true;
}

static bool on_token(void *owner, enum json_kind kind, struct text t, int depth)
{
    struct reader *reader = owner;

    if (depth == 0)
        return kind == JSON_OBJECT_BEGIN || kind == JSON_OBJECT_END;
    if (kind != JSON_KEY)
        return set(reader, kind, t);
    reader->row = find_row(t);
    return reader->row != NULL || complain(reader, "unknown key", t);
}

void controls_init(struct controls *controls, double seconds_per_image)
{
    *controls = (struct controls){.fail_status = 500,
                                  .queue_depth = -1,
                                  .pin = -1,
                                  .temperature = __builtin_nan(""),
                                  .seconds_per_image = seconds_per_image};
}

enum status controls_change(struct controls *controls, struct text json, char error[200])
{
    struct reader reader = {.controls = *controls, .error = error};

    reader.controls.pin = -1;
    reader.controls.temperature = __builtin_nan("");
    reader.controls.close_idle = false;
    snprintf(error, 200, "not a flat JSON object");
    enum status st = json_parse(json, on_token, &reader, NULL);
    if (st == ST_OK)
        *controls = reader.controls;
    return st;
}

bool controls_take(int64_t *count)
{
    if (*count == 0)
        return false;
    --*count;
    return true;
}

enum fault controls_take_fault(struct controls *controls)
{
    if (controls_take(&controls->fail_next))
        return FAULT_FAIL;
    if (controls_take(&controls->hang_next))
        return FAULT_HANG;
    if (controls_take(&controls->drop_next))
        return FAULT_DROP;
    if (controls_take(&controls->garbage_next))
        return FAULT_GARBAGE;
    if (controls_take(&controls->reset_next))
        return FAULT_RESET;
    if (controls_take(&controls->short_next))
        return FAULT_SHORT;
    if (controls_take(&controls->stall_next))
        return FAULT_STALL;
    return FAULT_NONE;
}

bool controls_are_plain(const struct controls *c)
{
    int64_t to_come = c->fail_next + c->hang_next + c->drop_next + c->garbage_next + c->reset_next +
                      c->short_next + c->stall_next + c->short_images + c->interim_next +
                      c->close_next;

    return to_come == 0 && c->delay_ms == 0 && !c->is_chunked && !c->is_gzip &&
           !c->has_hop_fields && c->seconds_per_image == 0;
}
