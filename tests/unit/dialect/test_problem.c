/* SPDX-License-Identifier: Apache-2.0 */
/* test_problem.c - who prefers problem+json, and what it looks like. */
#include <criterion/criterion.h>

#include "dialect/dialect.h"

struct sample {
    const char *accept;
    bool is_preferred;
};

static const struct sample samples[] = {
    {NULL, false},
    {"", false},
    {"*/*", false},
    {"application/*", false},
    {"application/json", false},
    {"application/problem+json", true},
    {"Application/Problem+JSON ; Q=0.1", true},
    {"application/problem+json, */*", false},
    {"application/json, application/problem+json", false},
    {"application/json;q=0.9, application/problem+json", true},
    {"application/problem+json;q=0.9, application/json", false},
    {"application/problem+json;q=0, */*", false},
    {"application/problem+json, application/*;q=0.5, */*;q=0.1", true},
    {"application/json;q=0, application/*", true},
    {"application/json;q=0.001, */*;q=0.002", true},
    {"text/html", false},
    {"application/problem+json;q=2", false},
    {"application/problem+json;q=0.1234", false},
    {"application/problem+json;q=1.1", false},
    {"application/problem+json;q=1.000", true},
    {"application/problem+json;q=1.", true},
    {"application/problem+json;q=", false},
    {"text/x;p=\"a, application/problem+json, b\\\"\"", false},
    {"text/x;p=\"a,b;q=0\", application/problem+json", true},
    {",,application/problem+json,,", true},
    {"application/problem+json;charset=utf-8", true},
    {"\"", false},
    {";q=1", false},
};

Test(problem, is_preferred_by_quality_and_specificity)
{
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        cr_assert_eq(problem_is_preferred(text_of(samples[i].accept)), samples[i].is_preferred,
                     "%s", samples[i].accept);
}

static void expect_body(const struct refusal *refusal, const char *expected)
{
    char buf[1024];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    problem_refuse(refusal, &out);
    cr_assert(!out.is_full);
    cr_assert_str_eq(buf, expected);
}

Test(problem, has_all_members)
{
    struct refusal refusal = {
        .status = 429,
        .problem_type = "https://iana.org/assignments/http-problem-types#quota-exceeded",
        .title = "Quota exceeded",
        .message = TEXT("Three \"images\" a day."),
        .violated_policy = "daily",
        .reason = "quota",
        .code = "insufficient_quota",
    };
    expect_body(&refusal,
                "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\","
                "\"title\":\"Quota exceeded\",\"status\":429,"
                "\"detail\":\"Three \\\"images\\\" a day.\",\"violated-policies\":[\"daily\"],"
                "\"reason\":\"quota\",\"code\":\"insufficient_quota\"}");
}

Test(problem, leaves_out_what_there_is_not)
{
    struct refusal refusal = {.status = 503, .message = TEXT("No.")};

    expect_body(&refusal, "{\"type\":\"about:blank\",\"status\":503,\"detail\":\"No.\"}");
}
