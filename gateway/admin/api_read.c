/* SPDX-License-Identifier: Apache-2.0 */
/* api_read.c - bodies and queries of the API.      Runs on: control thread.  Pure. */
#include <stdio.h>
#include <string.h>

#include "admin/api_ask.h"
#include "config/value.h"

struct reading {
    struct api_query *query;
    enum quota_change_kind kind;
};

static bool keep(struct text value, char out[API_NAME_MAX + 1])
{
    if (value.len == 0 || value.len > API_NAME_MAX || !value_is_line(value))
        return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static bool read_units(struct reading *r, struct text value, enum limit_measure measure)
{
    bool is_negative = text_starts_with(value, TEXT("-"));
    struct text digits = is_negative ? (struct text){value.ptr + 1, value.len - 1} : value;
    int64_t units;

    if (value_thousandths(digits, &units) || r->query->measure || r->kind == CHANGE_RESET)
        return false;
    /* Stores keep grants in whole images and credits. */
    if (r->kind == CHANGE_GRANT ? units % UNITS_PER_IMAGE != 0 : is_negative)
        return false;
    r->query->measure = measure;
    r->query->units = is_negative ? -units : units;
    return true;
}

static bool read_images(void *into, struct text value)
{
    return read_units(into, value, MEASURE_IMAGES);
}

static bool read_credits(void *into, struct text value)
{
    return read_units(into, value, MEASURE_CREDITS);
}

static bool read_limit(void *into, struct text value)
{
    struct reading *r = into;

    for (int kind = LIMIT_DAY; kind <= LIMIT_RATE; kind++) {
        if (!text_equal(value, text_of(limit_name((enum limit_kind)kind))))
            continue;
        r->query->limit = (enum limit_kind)kind;
        return true;
    }
    return false;
}

static bool read_scope(void *into, struct text value)
{
    struct reading *r = into;

    if (text_equal(value, TEXT("account")))
        r->query->scope = SCOPE_ACCOUNT;
    else if (text_equal(value, TEXT("model")))
        r->query->scope = SCOPE_MODEL;
    else if (text_equal(value, TEXT("team")))
        r->query->scope = SCOPE_TEAM;
    return r->query->scope != SCOPE_NONE;
}

static bool read_tier(void *into, struct text value)
{
    struct reading *r = into;

    return keep(value, r->query->tier);
}

static bool read_team(void *into, struct text value)
{
    struct reading *r = into;

    return keep(value, r->query->team);
}

static bool read_model(void *into, struct text value)
{
    struct reading *r = into;

    return keep(value, r->query->model);
}

/* "2026-12-31" */
static bool read_until(void *into, struct text value)
{
    struct reading *r = into;
    uint64_t year, month, day;
    int64_t ordinal;

    if (r->kind != CHANGE_GRANT || value.len != 10 || value.ptr[4] != '-' || value.ptr[7] != '-' ||
        text_to_u64((struct text){value.ptr, 4}, &year) ||
        text_to_u64((struct text){value.ptr + 5, 2}, &month) ||
        text_to_u64((struct text){value.ptr + 8, 2}, &day))
        return false;
    ordinal = window_day_of_date((int)year, (int)month, (int)day);
    r->query->until_day = ordinal;
    return ordinal > 0;
}

static bool read_id(void *into, struct text value)
{
    struct reading *r = into;

    return keep(value, r->query->id);
}

static const struct api_field fields[] = {
    {"images", JSON_NUMBER, false, read_images,
     "one number: of a grant a whole one, of set not negative, up to three decimals; of reset "
     "none"},
    {"credits", JSON_NUMBER, false, read_credits,
     "one number: of a grant a whole one, of set not negative, up to three decimals; of reset "
     "none"},
    {"until", JSON_STRING, false, read_until, "a date such as 2026-12-31, and only for a grant"},
    {"limit", JSON_STRING, false, read_limit, "daily, weekly, monthly, rolling or rate"},
    {"scope", JSON_STRING, false, read_scope, "account, model or team"},
    {"tier", JSON_STRING, false, read_tier, "the name of a tier"},
    {"team", JSON_STRING, false, read_team, "the name of a team"},
    {"model", JSON_STRING, false, read_model, "the name of a model"},
    {"id", JSON_STRING, false, read_id, "1 to 128 characters"},
};

enum status api_read_body(struct text body, enum quota_change_kind kind, struct api_query *out,
                          char why[API_WHY_MAX])
{
    struct reading r = {.query = out, .kind = kind};

    if (kind == CHANGE_RESET && body.len == 0)
        return ST_OK;
    if (api_read_fields(body, fields, ARRAY_LEN(fields), &r, why))
        return ST_INVALID;
    if (kind != CHANGE_RESET && !out->measure) {
        snprintf(why, API_WHY_MAX, "how much is missing, expected images or credits");
        return ST_INVALID;
    }
    if (out->until_day && (out->units < 0 || (out->limit && !limit_is_calendar(out->limit)))) {
        snprintf(why, API_WHY_MAX,
                 "a grant until a date is not negative, and of a daily, weekly or monthly limit");
        return ST_INVALID;
    }
    return ST_OK;
}

enum status api_read_query(struct text query, struct api_query *out, char why[API_WHY_MAX])
{
    const struct part {
        struct text name;
        char *into;
    } parts[] = {{TEXT("tier"), out->tier}, {TEXT("team"), out->team}, {TEXT("model"), out->model}};
    char buf[API_NAME_MAX];
    struct text value;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        enum status st = route_query(query, parts[i].name, buf, sizeof(buf), &value);

        if (st == ST_CLOSED)
            continue;
        if (st || !keep(value, parts[i].into)) {
            snprintf(why, API_WHY_MAX, "wrong value for %s in the query", parts[i].name.ptr);
            return ST_INVALID;
        }
    }
    return ST_OK;
}

/* --- which limits ------------------------------------------------------------------------------------------------------- */

static bool is_meant(const struct api_query *query, const struct limit_rule *rule)
{
    enum limit_scope scope = query->scope ? query->scope : SCOPE_ACCOUNT;

    if (rule->scope != scope || (query->measure && rule->measure != query->measure))
        return false;
    if (query->limit)
        return rule->kind == query->limit;
    return limit_is_calendar(rule->kind) || (rule->kind == LIMIT_ROLLING && !query->until_day);
}

static void name_limits(struct text_out *out, const struct limit *limits, int len)
{
    for (int i = 0; i < len; i++) {
        const struct limit_rule *rule = &limits[i].rule;

        text_out_printf(out, "%s%s %s of the %s", i ? ", " : "", limit_name(rule->kind),
                        api_measure_name(rule->measure), api_scope_name(rule->scope));
    }
    if (len == 0)
        text_out_add(out, TEXT("none"));
}

enum status api_select(const struct api_query *query, enum quota_change_kind kind,
                       struct terms *terms, char why[API_WHY_MAX])
{
    struct limit meant[LIMITS_MAX];
    struct text_out out;
    int len = 0;

    for (int i = 0; i < terms->limits_len; i++) {
        if (is_meant(query, &terms->limits[i].rule))
            meant[len++] = terms->limits[i];
    }
    text_out_init(&out, why, API_WHY_MAX);
    if (len == 0) {
        text_out_add(&out, TEXT("the account has no such limit; its limits: "));
        name_limits(&out, terms->limits, terms->limits_len);
        return ST_INVALID;
    }
    if (len > 1 && kind == CHANGE_SET_USED) {
        text_out_add(&out, TEXT("name one limit; these fit: "));
        name_limits(&out, meant, len);
        return ST_INVALID;
    }
    memcpy(terms->limits, meant, (size_t)len * sizeof(meant[0]));
    terms->limits_len = len;
    return ST_OK;
}
