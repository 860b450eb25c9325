/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.c - host names to addresses, by the C library's resolver. */
#include "net/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

/* Longest host name in text form (RFC 1035, 2.3.4). */
#define NAME_MAX_BYTES 253

/* The name before the colon, and the port behind it.  ST_INVALID also for names that no resolver should see. */
static enum status split(struct text host_port, char name[NAME_MAX_BYTES + 1], uint16_t *out_port)
{
    const char *colon = host_port.len > 0 ? memchr(host_port.ptr, ':', host_port.len) : NULL;
    size_t len = colon ? (size_t)(colon - host_port.ptr) : 0;
    uint64_t port;

    if (len == 0 || len > NAME_MAX_BYTES || memchr(host_port.ptr, '\0', len) ||
        memchr(host_port.ptr, '[', len))
        return ST_INVALID;
    if (text_to_u64((struct text){colon + 1, host_port.len - len - 1}, &port) || port > UINT16_MAX)
        return ST_INVALID;
    memcpy(name, host_port.ptr, len);
    name[len] = '\0';
    *out_port = (uint16_t)port;
    return ST_OK;
}

static const struct addrinfo *choose(const struct addrinfo *answers)
{
    for (const struct addrinfo *answer = answers; answer; answer = answer->ai_next) {
        if (answer->ai_family == AF_INET)
            return answer;
    }
    return answers;
}

static void set_port(struct address *address, uint16_t port)
{
    if (address->sa.sa_family == AF_INET)
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

static enum status look_up(const char *name, uint16_t port, struct address *out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *answers = NULL;

    if (getaddrinfo(name, NULL, &hints, &answers))
        return ST_UNAVAILABLE;
    const struct addrinfo *chosen = choose(answers);
    struct address address = {.len = chosen->ai_addrlen};

    memcpy(&address.storage, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(answers);
    set_port(&address, port);
    *out = address;
    return ST_OK;
}

enum status resolve_host_port(struct text host_port, struct address *out)
{
    char name[NAME_MAX_BYTES + 1];
    uint16_t port;

    if (address_parse(host_port, out) == ST_OK)
        return ST_OK;
    if (split(host_port, name, &port))
        return ST_INVALID;
    return look_up(name, port, out);
}
