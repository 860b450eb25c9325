/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/address.h"

static const char *printed(const struct address *address)
{
    static char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_print(address, &out);
    cr_assert_not(out.is_full);
    return buf;
}

static const char *host(const struct address *address)
{
    static char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_print_host(address, &out);
    return buf;
}

static const char *short_host(const struct address *address)
{
    static char buf[ADDRESS_TEXT_MAX];
    struct address_short kept = address_shorten(address);
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_short_print_host(&kept, &out);
    return buf;
}

static struct address parsed(const char *cstr)
{
    struct address address;

    cr_assert_eq(address_parse(text_of(cstr), &address), ST_OK, "%s", cstr);
    return address;
}

Test(address, prints_what_it_parsed)
{
    static const char *const same[] = {
        "127.0.0.1:8080",   "0.0.0.0:0",        "[::1]:8080", "[::]:65535",
        "unix:/run/x.sock", "[2001:db8::1]:80", "unix:x",     "[::ffff:192.0.2.1]:80"};

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct address address = parsed(same[i]);

        cr_assert_str_eq(printed(&address), same[i]);
    }
}

Test(address, refuses)
{
    static const char *const bad[] = {
        "",           "127.0.0.1",      "127.0.0.1:",  ":80",       "localhost:80",  "::1:80",
        "[::1]",      "[::1]:",         "[::1]:65536", "[::1:80",   "[]:80",         "unix:",
        "1.2.3.4:-1", "1.2.3.4:65536",  "1.2.3.4: 80", "1.2.3:80",  "[1.2.3.4]:80",  "::1]:80",
        "[",          "01.2.3.4567:80", "]:80",        "[::1]]:80", "[fe80::1%lo]:1"};
    struct address address;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(address_parse(text_of(bad[i]), &address), ST_INVALID, "%s", bad[i]);
    cr_assert_eq(address_parse((struct text){"1.2.3.4\0:80", 11}, &address), ST_INVALID);
    cr_assert_eq(address_parse((struct text){"unix:a\0b", 8}, &address), ST_INVALID);
}

Test(address, longest_unix_path)
{
    char path[5 + 108 + 1] = "unix:";
    struct address address;

    memset(path + 5, 'p', 107);
    path[5 + 107] = '\0';
    address = parsed(path);
    cr_assert_str_eq(printed(&address), path);
    path[5 + 107] = 'p';
    path[5 + 108] = '\0';
    cr_assert_eq(address_parse(text_of(path), &address), ST_INVALID);
}

Test(address, host_alone)
{
    struct address v4 = parsed("192.0.2.1:5");
    struct address v6 = parsed("[2001:DB8:0::1]:5");
    struct address mapped = parsed("[::ffff:192.0.2.9]:5");
    struct address local = parsed("unix:/run/x");
    struct address unnamed = {.sa.sa_family = AF_UNIX, .len = sizeof(sa_family_t)};
    struct address none = {.len = 0};

    cr_assert_str_eq(host(&v4), "192.0.2.1");
    cr_assert_str_eq(host(&v6), "2001:db8::1");
    cr_assert_str_eq(host(&mapped), "192.0.2.9");
    cr_assert_str_eq(host(&local), "unix");
    cr_assert_str_eq(host(&unnamed), "unix");
    cr_assert_str_eq(printed(&unnamed), "unix:");
    cr_assert_str_eq(printed(&none), "unknown");
    cr_assert_str_eq(host(&none), "unknown");
}

Test(address, a_short_one_prints_the_same_host)
{
    static const char *const all[] = {"192.0.2.1:5", "[2001:db8::1]:5", "[::ffff:192.0.2.9]:5",
                                      "unix:/run/x.sock"};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct address address = parsed(all[i]);

        cr_assert_str_eq(short_host(&address), host(&address));
    }
}

Test(address, every_octet)
{
    char expected[32];

    for (unsigned octet = 0; octet < 256; octet++) {
        snprintf(expected, sizeof(expected), "%u.%u.%u.%u:0", octet, 255 - octet, octet, octet);
        struct address address = parsed(expected);

        cr_assert_str_eq(printed(&address), expected);
    }
}

Test(address, prefixes)
{
    static const struct {
        const char *prefix;
        const char *address;
        bool holds;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2:1", true},
        {"10.0.0.0/8", "11.0.0.0:1", false},
        {"10.9.9.9/8", "10.1.1.1:1", true},
        {"0.0.0.0/0", "203.0.113.7:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"0.0.0.0/0", "unix:/x", false},
        {"::/0", "unix:/x", false},
        {"::/0", "1.2.3.4:1", false},
        {"192.168.5.64/26", "192.168.5.127:1", true},
        {"192.168.5.64/26", "192.168.5.128:1", false},
        {"127.0.0.1", "127.0.0.1:9", true},
        {"127.0.0.1", "127.0.0.2:9", false},
        {"127.0.0.0/8", "[::ffff:127.3.4.5]:9", true},
        {"::ffff:127.0.0.0/104", "127.3.4.5:9", true},
        {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"::1/128", "[::1]:1", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address_prefix prefix;
        struct address address = parsed(cases[i].address);

        cr_assert_eq(address_prefix_parse(text_of(cases[i].prefix), &prefix), ST_OK);
        cr_assert_eq(address_prefix_holds(&prefix, &address), cases[i].holds, "%s %s",
                     cases[i].prefix, cases[i].address);
    }
}

Test(address, bad_prefixes)
{
    static const char *const bad[] = {"",       "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "/8",
                                      "::/129", "[::]/8",      "10.0.0/8",  "10.0.0.0/8/8"};
    struct address_prefix prefix;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        cr_assert_eq(address_prefix_parse(text_of(bad[i]), &prefix), ST_INVALID, "%s", bad[i]);
}

Test(address, loopback)
{
    static const struct {
        const char *address;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1", true},  {"127.255.0.9:1", true},
        {"[::1]:1", true},      {"[::ffff:127.0.0.1]:1", true},
        {"128.0.0.1:1", false}, {"10.127.0.1:1", false},
        {"[::2]:1", false},     {"[::]:1", false},
        {"0.0.0.0:1", false},   {"unix:/run/x.sock", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address address;

        cr_assert_eq(address_parse(text_of(cases[i].address), &address), ST_OK);
        cr_assert_eq(address_is_loopback(&address), cases[i].is_loopback, "%s", cases[i].address);
    }
}

Test(address, masks)
{
    static const struct {
        const char *address;
        int v4_bits, v6_bits;
        const char *masked;
    } cases[] = {
        {"203.0.113.255:9", 24, 64, "203.0.113.0:0"},
        {"203.0.113.255:9", 32, 64, "203.0.113.255:0"},
        {"203.0.113.255:9", 0, 64, "0.0.0.0:0"},
        {"203.0.113.255:9", 29, 64, "203.0.113.248:0"},
        {"[2001:db8:1:2:3:4:5:6]:9", 32, 64, "[2001:db8:1:2::]:0"},
        {"[2001:db8:1:2:3:4:5:6]:9", 32, 128, "[2001:db8:1:2:3:4:5:6]:0"},
        {"[2001:db8:ffff::]:9", 32, 35, "[2001:db8:e000::]:0"},
        {"[::ffff:203.0.113.255]:9", 24, 64, "203.0.113.0:0"},
        {"unix:/x", 24, 64, "unix:/x"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address address = parsed(cases[i].address);

        address_mask(&address, cases[i].v4_bits, cases[i].v6_bits);
        cr_assert_str_eq(printed(&address), cases[i].masked);
    }
}
