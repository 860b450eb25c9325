/* SPDX-License-Identifier: Apache-2.0 */
/* feed.h - feeds messages to the parser, cut in every way that matters, for the tests. */
#pragma once

#include "http/parser.h"

#define FEED_BODY_MAX 4096

/* One message, as the parser saw it.  The head's texts point into bytes that fed_free() frees. */
struct fed {
    struct http_parser parser;
    struct http_head head;
    enum status st;  /* of the head, or of the body where the head was whole */
    size_t consumed; /* of head and body */
    char body[FEED_BODY_MAX];
    size_t body_len;
    char *buf;
};

struct feed_options {
    enum http_side side;
    struct http_limits limits; /* zeros: 8 KiB and 16 KiB */
    bool answers_head;
    size_t step; /* bytes a feed; 0: all at once */
};

/* Feeds the bytes of one message.  Each feed of a head lies at the end of a buffer of its own, so that a parser that
 * keeps pointers into an old one is found out by the sanitizers. */
void feed(struct fed *fed, const struct feed_options *options, struct text bytes);
void fed_free(struct fed *fed);

/* Feeds a request (answer) whole, byte by byte and in steps of 2 to 7; asserts that all agree; leaves the whole one. */
void feed_all_ways(struct fed *fed, const struct feed_options *options, struct text bytes);

/* A request, with limits of 8 KiB and 16 KiB. */
void feed_request(struct fed *fed, struct text bytes);

/* Parts of requests. */
#define HOST         "Host: h\r\n"
#define LENGTH       "Content-Length: 3\r\n"
#define CHUNKED      "Transfer-Encoding: chunked\r\n"
#define POST(fields) "POST / HTTP/1.1\r\n" HOST fields "\r\n"

/* A request that is refused, and why. */
struct refusal {
    const char *what;
    struct text bytes;
    enum http_fault fault;
};

#define R(what, bytes, fault)                                                                      \
    {                                                                                              \
        what, {bytes, sizeof(bytes) - 1}, HTTP_FAULT_##fault                                       \
    }
#define REFUSE_ALL(refusals) feed_refuse_all(refusals, ARRAY_LEN(refusals))
void feed_refuse_all(const struct refusal *refusals, size_t len);

void feed_assert_text(struct text got, const char *expected);
