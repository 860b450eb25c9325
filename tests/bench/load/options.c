/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. */
#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX     600
#define CONNECTIONS_MAX 20000
#define REQUESTS_MAX    INT64_C(100000000)
#define ACCOUNTS_MAX    INT64_C(99999999) /* eight digits */

static const char help[] =
    "load --to HOST:PORT [options]       one thread, keep-alive connections; prints one line of "
    "JSON\n"
    "  --connections N       (64)\n"
    "  --in-flight N         at most so many requests wait for their answers (as many as "
    "connections)\n"
    "  --rate R              requests a second, evenly spaced; latency counts from the moment that "
    "a\n"
    "                        request was due.  0: as fast as answers come (0)\n"
    "  --seconds S           ends after that (600, which is also the most)\n"
    "  --requests N          ends after that many\n"
    "  --accounts N          (100000)\n"
    "  --first N             number of the first one (0)\n"
    "  --scramble EACH       each account comes so often, in random order; else they come in turn\n"
    "  --skip N              begins at this place of that order (0)\n"
    "  --identity bearer|header      a key, or X-Account-Id (bearer)\n"
    "  --header 'Name: value'        one more field; up to 8\n"
    "  --path PATH           (/v1/images/generations)\n"
    "  --request-bytes N     size of a request, head and body (390)\n"
    "  --stay                keeps its connections open until standard input ends\n"
    "  --no-wait             ends once all is sent\n";

enum option_id {
    OPT_TO = 1,
    OPT_CONNECTIONS,
    OPT_IN_FLIGHT,
    OPT_RATE,
    OPT_SECONDS,
    OPT_REQUESTS,
    OPT_ACCOUNTS,
    OPT_FIRST,
    OPT_SCRAMBLE,
    OPT_SKIP,
    OPT_IDENTITY,
    OPT_HEADER,
    OPT_PATH,
    OPT_REQUEST_BYTES,
    OPT_STAY,
    OPT_NO_WAIT,
};

static const struct option rows[] = {
    {"to", required_argument, NULL, OPT_TO},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"in-flight", required_argument, NULL, OPT_IN_FLIGHT},
    {"rate", required_argument, NULL, OPT_RATE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"accounts", required_argument, NULL, OPT_ACCOUNTS},
    {"first", required_argument, NULL, OPT_FIRST},
    {"scramble", required_argument, NULL, OPT_SCRAMBLE},
    {"skip", required_argument, NULL, OPT_SKIP},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"header", required_argument, NULL, OPT_HEADER},
    {"path", required_argument, NULL, OPT_PATH},
    {"request-bytes", required_argument, NULL, OPT_REQUEST_BYTES},
    {"stay", no_argument, NULL, OPT_STAY},
    {"no-wait", no_argument, NULL, OPT_NO_WAIT},
    {0},
};

static bool to_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    long port = strtol(colon + 1, NULL, 10);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return port > 0 && port < 65536 && inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool to_number(const char *text, double min, double max, double *out)
{
    char *end;

    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

static bool to_count(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;

    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

static bool to_int(const char *text, int min, int max, int *out)
{
    int64_t count;
    bool is_good = to_count(text, min, max, &count);

    *out = (int)count;
    return is_good;
}

static bool to_identity(const char *text, enum identity *out)
{
    *out = strcmp(text, "header") == 0 ? IDENTITY_HEADER : IDENTITY_BEARER;
    return *out == IDENTITY_HEADER || strcmp(text, "bearer") == 0;
}

static bool add_header(struct options *o, const char *header)
{
    if (o->headers_len == HEADERS_MAX)
        return false;
    o->headers[o->headers_len++] = header;
    return true;
}

static bool take(struct options *o, enum option_id id, const char *value)
{
    switch (id) {
    case OPT_TO:
        return to_address(value, &o->to);
    case OPT_CONNECTIONS:
        return to_int(value, 1, CONNECTIONS_MAX, &o->connections);
    case OPT_IN_FLIGHT:
        return to_int(value, 1, CONNECTIONS_MAX, &o->in_flight);
    case OPT_RATE:
        return to_number(value, 0, 1e6, &o->rate);
    case OPT_SECONDS:
        return to_number(value, 0.01, SECONDS_MAX, &o->seconds);
    case OPT_REQUESTS:
        return to_count(value, 1, REQUESTS_MAX, &o->requests);
    case OPT_ACCOUNTS:
        return to_count(value, 1, ACCOUNTS_MAX, &o->accounts);
    case OPT_FIRST:
        return to_count(value, 0, ACCOUNTS_MAX, &o->first);
    case OPT_SCRAMBLE:
        o->is_scrambled = true;
        return to_count(value, 1, 1000, &o->each);
    case OPT_SKIP:
        return to_count(value, 0, INT64_MAX, &o->skip);
    case OPT_IDENTITY:
        return to_identity(value, &o->identity);
    case OPT_HEADER:
        return add_header(o, value);
    case OPT_PATH:
        o->path = value;
        return value[0] == '/';
    case OPT_REQUEST_BYTES:
        return to_int(value, 300, 8192, &o->request_bytes);
    case OPT_STAY:
        o->is_staying = true;
        return true;
    case OPT_NO_WAIT:
        o->is_no_wait = true;
        return true;
    }
    return false;
}

bool options_parse(int argc, char **argv, struct options *out)
{
    int index = 0;

    *out = (struct options){.connections = 64,
                            .seconds = SECONDS_MAX,
                            .requests = REQUESTS_MAX,
                            .accounts = 100000,
                            .each = 1,
                            .path = "/v1/images/generations",
                            .request_bytes = 390};
    for (int option = getopt_long(argc, argv, "", rows, &index); option != -1;
         option = getopt_long(argc, argv, "", rows, &index)) {
        if (option == '?' || !take(out, (enum option_id)option, optarg)) {
            fprintf(stderr, "load: bad option or value\n%s", help);
            return false;
        }
    }
    if (out->in_flight == 0 || out->in_flight > out->connections)
        out->in_flight = out->connections;
    if (out->to.sin_port == 0 || optind != argc) {
        fputs(help, stderr);
        return false;
    }
    return true;
}
