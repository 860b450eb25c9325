/* SPDX-License-Identifier: Apache-2.0 */
/* address.h - where a socket listens or connects: IPv4, IPv6 or a Unix path. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/status.h"
#include "base/text.h"

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
        struct sockaddr_un un;
    };
    socklen_t len;
};

/* An address for keeping, a fifth as large: of a Unix socket only that it is one. */
struct address_short {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len;
};
struct address_short address_shorten(const struct address *address);
struct address address_widen(const struct address_short *address);
/* As address_print_host() of the wide one. */
void address_short_print_host(const struct address_short *address, struct text_out *out);

/* Longest text that address_print writes, with the NUL. */
#define ADDRESS_TEXT_MAX 128

/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock"; no names.  Port 0 is allowed.  ST_OK or ST_INVALID. */
MUST_CHECK enum status address_parse(struct text t, struct address *out);
/* The address without its port, as in Forwarded and logs: "192.0.2.1", "2001:db8::1", "unix". */
void address_print_host(const struct address *address, struct text_out *out);
void address_print(const struct address *address, struct text_out *out);
/* A network as in 10.0.0.0/8 or 2001:db8::/32; an address alone is a network of one.  bits counts from the left. */
struct address_prefix {
    struct address base;
    int bits;
};
MUST_CHECK enum status address_prefix_parse(struct text t, struct address_prefix *out);
/* IPv4-mapped IPv6 addresses count as IPv4.  A Unix peer matches no prefix. */
bool address_prefix_holds(const struct address_prefix *prefix, const struct address *address);
/* Of this machine, by way of its loopback: 127.0.0.0/8, ::1.  A Unix peer is not. */
bool address_is_loopback(const struct address *address);
/* Clears all but the first v4 or v6 bits and the port; an IPv4-mapped address becomes an IPv4 one. */
void address_mask(struct address *address, int v4_bits, int v6_bits);
