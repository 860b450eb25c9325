/* SPDX-License-Identifier: Apache-2.0 */
/* address.c - socket addresses in and out of text, and networks. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static struct sockaddr_in *v4_of(struct address *address)
{
    return (struct sockaddr_in *)&address->storage;
}

static struct sockaddr_in6 *v6_of(struct address *address)
{
    return (struct sockaddr_in6 *)&address->storage;
}

/* An IP address without port or brackets. */
static enum status parse_ip(struct text t, struct address *out)
{
    char cstr[INET6_ADDRSTRLEN];

    /* inet_pton stops at a NUL, which is no part of an address. */
    if (t.len >= sizeof(cstr) || (t.len > 0 && memchr(t.ptr, '\0', t.len)))
        return ST_INVALID;
    *out = (struct address){0};
    if (t.len > 0)
        memcpy(cstr, t.ptr, t.len);
    cstr[t.len] = '\0';
    if (inet_pton(AF_INET, cstr, &v4_of(out)->sin_addr) == 1) {
        out->sa.sa_family = AF_INET;
        out->len = sizeof(struct sockaddr_in);
        return ST_OK;
    }
    if (inet_pton(AF_INET6, cstr, &v6_of(out)->sin6_addr) == 1) {
        out->sa.sa_family = AF_INET6;
        out->len = sizeof(struct sockaddr_in6);
        return ST_OK;
    }
    return ST_INVALID;
}

static enum status parse_unix(struct text path, struct address *out)
{
    struct address address = {.len = sizeof(struct sockaddr_un)};

    if (path.len == 0 || path.len >= sizeof(address.un.sun_path) ||
        memchr(path.ptr, '\0', path.len))
        return ST_INVALID;
    address.un.sun_family = AF_UNIX;
    memcpy(address.un.sun_path, path.ptr, path.len);
    *out = address;
    return ST_OK;
}

/* Where the colon before the port is: the last one, and the only one where there are no brackets.  NULL: none. */
static const char *port_colon(struct text t)
{
    const char *colon = t.len > 0 ? memrchr(t.ptr, ':', t.len) : NULL;

    if (!colon)
        return NULL;
    bool has_brackets = t.ptr[0] == '[' && colon > t.ptr && colon[-1] == ']';

    return has_brackets || memchr(t.ptr, ':', t.len) == colon ? colon : NULL;
}

enum status address_parse(struct text t, struct address *out)
{
    if (text_starts_with(t, TEXT("unix:")))
        return parse_unix((struct text){t.ptr + 5, t.len - 5}, out);
    const char *colon = port_colon(t);

    if (!colon)
        return ST_INVALID;
    struct text host = {t.ptr, (size_t)(colon - t.ptr)};
    struct text digits = {colon + 1, t.len - host.len - 1};
    bool has_brackets = host.len > 0 && host.ptr[0] == '[';
    uint64_t port;
    struct address address;

    if (has_brackets)
        host = (struct text){host.ptr + 1, host.len - 2};
    if (text_to_u64(digits, &port) || port > UINT16_MAX || parse_ip(host, &address))
        return ST_INVALID;
    if (has_brackets != (address.sa.sa_family == AF_INET6))
        return ST_INVALID;
    if (has_brackets)
        v6_of(&address)->sin6_port = htons((uint16_t)port);
    else
        v4_of(&address)->sin_port = htons((uint16_t)port);
    *out = address;
    return ST_OK;
}

/* Turns ::ffff:a.b.c.d, as a dual-stack socket reports it, into a.b.c.d. */
static void unmap(struct address *address)
{
    if (address->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6_of(address)->sin6_addr))
        return;
    struct address v4 = {.len = sizeof(struct sockaddr_in)};

    v4.sa.sa_family = AF_INET;
    v4_of(&v4)->sin_port = v6_of(address)->sin6_port;
    memcpy(&v4_of(&v4)->sin_addr, v6_of(address)->sin6_addr.s6_addr + 12, 4);
    *address = v4;
}

struct address_short address_shorten(const struct address *address)
{
    struct address_short out = {.len = MIN(address->len, (socklen_t)sizeof(out.v6))};

    if (address->sa.sa_family == AF_UNIX)
        out.len = sizeof(out.sa.sa_family);
    memcpy(&out.v6, &address->storage, out.len);
    return out;
}

struct address address_widen(const struct address_short *address)
{
    struct address out = {.len = address->len};

    memcpy(&out.storage, &address->v6, address->len);
    return out;
}

/* Each with its point, where there are fewer digits with zeros behind it. */
/* clang-format off */
#define TEN(h) #h "0.", #h "1.", #h "2.", #h "3.", #h "4.", #h "5.", #h "6.", #h "7.", #h "8.", #h "9."
#define FIFTY(h) TEN(h##0), TEN(h##1), TEN(h##2), TEN(h##3), TEN(h##4)
#define HUNDRED(h) FIFTY(h), TEN(h##5), TEN(h##6), TEN(h##7), TEN(h##8), TEN(h##9)
static const char octet_texts[256][4] = {
    TEN(), TEN(1), TEN(2), TEN(3), TEN(4), TEN(5), TEN(6), TEN(7), TEN(8), TEN(9), HUNDRED(1), FIFTY(2),
    "250.", "251.", "252.", "253.", "254.", "255."};
/* clang-format on */

/* By hand: it is done for every request, and inet_ntop() is a printf. */
static void print_v4(const struct in_addr *ip, struct text_out *out)
{
    unsigned char octets[sizeof(*ip)];
    char buf[INET_ADDRSTRLEN];
    size_t len = 0;

    memcpy(octets, ip, sizeof(octets));
    for (size_t i = 0; i < sizeof(octets); i++) {
        unsigned octet = octets[i];

        memcpy(buf + len, octet_texts[octet], sizeof(octet_texts[octet]));
        len += (size_t)2 + (octet >= 10) + (octet >= 100);
    }
    text_out_add(out, (struct text){buf, len - 1});
}

static void print_ip(struct address *address, struct text_out *out)
{
    char cstr[INET6_ADDRSTRLEN];

    if (address->sa.sa_family == AF_INET)
        print_v4(&v4_of(address)->sin_addr, out);
    else if (inet_ntop(AF_INET6, &v6_of(address)->sin6_addr, cstr, sizeof(cstr)))
        text_out_add(out, text_of(cstr));
}

void address_print_host(const struct address *address, struct text_out *out)
{
    struct address copy = *address;

    unmap(&copy);
    if (copy.sa.sa_family == AF_UNIX)
        text_out_add(out, TEXT("unix"));
    else if (copy.sa.sa_family == AF_INET || copy.sa.sa_family == AF_INET6)
        print_ip(&copy, out);
    else
        text_out_add(out, TEXT("unknown"));
}

void address_short_print_host(const struct address_short *address, struct text_out *out)
{
    if (address->sa.sa_family == AF_INET) {
        print_v4(&address->v4.sin_addr, out);
        return;
    }
    struct address wide = address_widen(address);

    address_print_host(&wide, out);
}

static void print_unix(const struct address *address, struct text_out *out)
{
    size_t header = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->len > header ? address->len - header : 0;

    text_out_add(out, TEXT("unix:"));
    text_out_add(out, (struct text){address->un.sun_path, strnlen(address->un.sun_path, room)});
}

void address_print(const struct address *address, struct text_out *out)
{
    struct address copy = *address;

    if (copy.sa.sa_family == AF_UNIX) {
        print_unix(address, out);
    } else if (copy.sa.sa_family == AF_INET) {
        print_ip(&copy, out);
        text_out_char(out, ':');
        text_out_int(out, ntohs(v4_of(&copy)->sin_port));
    } else if (copy.sa.sa_family == AF_INET6) {
        text_out_char(out, '[');
        print_ip(&copy, out);
        text_out_add(out, TEXT("]:"));
        text_out_int(out, ntohs(v6_of(&copy)->sin6_port));
    } else {
        text_out_add(out, TEXT("unknown"));
    }
}

/* The bytes of the IP address and how many; none for other families. */
static unsigned char *ip_bytes(struct address *address, size_t *len)
{
    *len = 0;
    if (address->sa.sa_family == AF_INET) {
        *len = 4;
        return (unsigned char *)&v4_of(address)->sin_addr;
    }
    if (address->sa.sa_family == AF_INET6) {
        *len = 16;
        return v6_of(address)->sin6_addr.s6_addr;
    }
    return NULL;
}

enum status address_prefix_parse(struct text t, struct address_prefix *out)
{
    const char *slash = t.len > 0 ? memchr(t.ptr, '/', t.len) : NULL;
    struct text host = {t.ptr, slash ? (size_t)(slash - t.ptr) : t.len};
    struct address_prefix prefix;

    if (parse_ip(host, &prefix.base))
        return ST_INVALID;
    size_t len;

    ip_bytes(&prefix.base, &len);
    uint64_t bits = len * 8;

    if (slash) {
        struct text digits = {slash + 1, t.len - host.len - 1};

        if (text_to_u64(digits, &bits) || bits > len * 8)
            return ST_INVALID;
    }
    if (len == 16 && bits >= 96) {
        unmap(&prefix.base);
        if (prefix.base.sa.sa_family == AF_INET)
            bits -= 96;
    }
    prefix.bits = (int)bits;
    *out = prefix;
    return ST_OK;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, int bits)
{
    size_t whole = (size_t)bits / 8;
    int rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool address_prefix_holds(const struct address_prefix *prefix, const struct address *address)
{
    struct address base = prefix->base;
    struct address copy = *address;
    size_t base_len;
    size_t len;

    unmap(&copy);
    const unsigned char *base_bytes = ip_bytes(&base, &base_len);
    const unsigned char *bytes = ip_bytes(&copy, &len);

    return bytes && base_bytes && base_len == len && same_bits(base_bytes, bytes, prefix->bits);
}

bool address_is_loopback(const struct address *address)
{
    struct address copy = *address;
    size_t len;

    unmap(&copy);
    const unsigned char *bytes = ip_bytes(&copy, &len);

    if (!bytes)
        return false;
    return len == 4 ? bytes[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)bytes);
}

void address_mask(struct address *address, int v4_bits, int v6_bits)
{
    size_t len;

    unmap(address);
    unsigned char *bytes = ip_bytes(address, &len);

    if (!bytes)
        return;
    int bits = len == 4 ? v4_bits : v6_bits;

    for (int i = 0; i < (int)len; i++) {
        int left = MAX(bits - i * 8, 0);
        int kept = MIN(left, 8);

        bytes[i] &= (unsigned char)(0xff00 >> kept);
    }
    if (len == 4) {
        v4_of(address)->sin_port = 0;
    } else {
        v6_of(address)->sin6_port = 0;
        v6_of(address)->sin6_flowinfo = 0;
        v6_of(address)->sin6_scope_id = 0;
    }
}
