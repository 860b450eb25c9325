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
