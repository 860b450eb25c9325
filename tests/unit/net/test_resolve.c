/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "net/resolve.h"

static const char *resolved(const char *host_port)
{
    static char buf[ADDRESS_TEXT_MAX];
    struct text_out out;
    struct address address;

    text_out_init(&out, buf, sizeof(buf));
    if (resolve_host_port(text_of(host_port), &address) == ST_OK)
        address_print(&address, &out);
    return buf;
}

Test(resolve, addresses_need_no_resolver)
{
    cr_assert_str_eq(resolved("127.0.0.1:80"), "127.0.0.1:80");
    cr_assert_str_eq(resolved("[::1]:80"), "[::1]:80");
    cr_assert_str_eq(resolved("unix:/x"), "unix:/x");
}

Test(resolve, localhost)
{
    cr_assert_str_eq(resolved("localhost:9001"), "127.0.0.1:9001");
}

Test(resolve, refuses)
{
    static const char *const bad[] = {
        "",       "localhost", "localhost:",    ":80", "localhost:65536", "localhost:x",
        "::1:80", "[::1",      "[localhost]:80"};
    struct address address;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(resolve_host_port(text_of(bad[i]), &address), ST_INVALID, "%s", bad[i]);
    char long_name[300];

    memset(long_name, 'a', sizeof(long_name));
    memcpy(long_name + 280, ":80", 3);
    cr_assert_eq(resolve_host_port((struct text){long_name, 283}, &address), ST_INVALID);
}
