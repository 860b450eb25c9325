/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - what to send, where, how much of it and for how long. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define HEADERS_MAX 8

enum identity {
    IDENTITY_BEARER, /* Authorization: Bearer sk-bench-00000042 */
    IDENTITY_HEADER, /* X-Account-Id: bench-00000042 */
};

struct options {
    struct sockaddr_in to;
    int connections;
    int in_flight; /* at most so many requests wait for their answers at once */
    double rate;   /* requests a second, evenly; 0: as many as are answered */
    double seconds;
    int64_t requests;
    int64_t accounts;
    int64_t first; /* number of the first account */
    int64_t each;  /* with is_scrambled: how often each account comes */
    int64_t skip;  /* begins at this place of the sequence of accounts */
    bool is_scrambled;
    bool is_staying; /* at the end, connections stay open until standard input ends */
    bool is_no_wait; /* ends once all is sent, not answered */
    enum identity identity;
    const char *path;
    const char *headers[HEADERS_MAX];
    int headers_len;
    int request_bytes; /* the prompt is as long as that takes */
};

/* False: a complaint, or the help, was printed. */
bool options_parse(int argc, char **argv, struct options *out);
