/* SPDX-License-Identifier: Apache-2.0 */
/* test_route.c - paths and queries of the admin. */
#include <criterion/criterion.h>

#include "admin/route.h"

static enum status answer(void *owner, const struct admin_ask *ask, struct admin_answer *out,
                          struct op *op)
{
    UNUSED(owner);
    UNUSED(ask);
    UNUSED(out);
    UNUSED(op);
    return ST_OK;
}

static const struct admin_route first[] = {
    {"/metrics", answer, METHOD_GET, ACCESS_OPEN},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};
static const struct admin_route second[] = {
    {"/v1/accounts/*/quota", answer, METHOD_GET, ACCESS_READ},
    {"/v1/accounts/*/quota/grant", answer, METHOD_POST, ACCESS_CHANGE},
    {NULL, NULL, METHOD_NONE, ACCESS_NONE},
};
static int owners[2];
static const struct admin_table tables[] = {{first, &owners[0]}, {second, &owners[1]}};

static const struct admin_route *find(enum http_method method, const char *path,
                                      struct text *out_param, int *out_status)
{
    static struct admin_found found;

    route_find(tables, 2, method, text_of(path), &found);
    if (found.route)
        cr_expect_eq(found.owner, found.route == &first[0] ? &owners[0] : &owners[1]);
    *out_param = found.param;
    *out_status = found.status;
    return found.route;
}

Test(route, finds_by_method_and_path)
{
    struct text param;
    int status;

    cr_expect_eq(find(METHOD_GET, "/metrics", &param, &status), &first[0]);
    cr_expect_eq(param.len, 0);
    cr_expect_eq(find(METHOD_GET, "/v1/accounts/alice/quota", &param, &status), &second[0]);
    cr_expect(text_equal(param, TEXT("alice")));
    cr_expect_eq(find(METHOD_POST, "/v1/accounts/a%2Fb%3a/quota/grant", &param, &status),
                 &second[1]);
    cr_expect(text_equal(param, TEXT("a/b:")));
}

Test(route, refuses_what_it_has_not)
{
    static const struct {
        enum http_method method;
        const char *path;
        int status;
    } cases[] = {
        {METHOD_GET, "/", 404},
        {METHOD_GET, "/metrics/", 404},
        {METHOD_GET, "/metric", 404},
        {METHOD_POST, "/metrics", 405},
        {METHOD_GET, "/v1/accounts//quota", 404},
        {METHOD_GET, "/v1/accounts/a/b/quota", 404},
        {METHOD_GET, "/v1/accounts/%/quota", 404},
        {METHOD_GET, "/v1/accounts/a%00b/quota", 404},
        {METHOD_GET, "/v1/accounts/a/quota/grant", 405},
        {METHOD_DELETE, "/v1/accounts/a/quota", 405},
        {METHOD_GET, "*", 404},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text param;
        int status = 0;

        cr_expect_null(find(cases[i].method, cases[i].path, &param, &status));
        cr_expect_eq(status, cases[i].status, "%s: %d", cases[i].path, status);
    }
}

static enum status query(const char *text, const char *name, struct text *out)
{
    static char buf[8];

    return route_query(text_of(text), text_of(name), buf, sizeof(buf), out);
}

Test(route, reads_queries)
{
    struct text value;

    cr_expect_eq(query("a=1&tier=plus", "tier", &value), ST_OK);
    cr_expect(text_equal(value, TEXT("plus")));
    cr_expect_eq(query("tier=a%20b", "tier", &value), ST_OK);
    cr_expect(text_equal(value, TEXT("a b")));
    cr_expect_eq(query("tier=", "tier", &value), ST_OK);
    cr_expect_eq(value.len, 0);
    cr_expect_eq(query("", "tier", &value), ST_CLOSED);
    cr_expect_eq(query("tiers=1", "tier", &value), ST_CLOSED);
    cr_expect_eq(query("tier=a&tier=b", "tier", &value), ST_INVALID);
    cr_expect_eq(query("tier", "tier", &value), ST_INVALID);
    cr_expect_eq(query("tier=%2", "tier", &value), ST_INVALID);
    cr_expect_eq(query("tier=123456789", "tier", &value), ST_INVALID);
}
