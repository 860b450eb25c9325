/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.h - what a family of clients and backends says on the wire: which requests make images, how many, how answers
 * are counted, and how a refusal looks.  A dialect is one file, one row in dialect.c, one test. */
#pragma once

#include "base/arena.h"
#include "base/status.h"
#include "core/job.h"
#include "http/head.h"

/* Why a request's content was not accepted.  Texts live in the arena or are literals. */
struct complaint {
    struct text message; /* a sentence for the client's developer */
    struct text param;   /* the field at fault; TEXT_NONE when there is none */
    struct text code;    /* the dialect's word for it, or TEXT_NONE */
};

/* Counts the images in an answer as it streams by.  No allocation; a value of the request. */
struct counter {
    const struct dialect *dialect;
    bool is_countable;        /* false: charged as asked */
    bool is_streamed;         /* server-sent events, not one JSON document */
    int64_t images;           /* whole ones so far */
    bool is_whole;            /* the document, or stream, came to its proper end */
    unsigned char state[120]; /* the scanner's */
};

/* A refusal in no dialect. */
struct refusal {
    int status;          /* HTTP */
    const char *type;    /* OpenAI's words: "insufficient_quota", "invalid_request_error", ... */
    const char *code;    /* or NULL */
    struct text message; /* UTF-8 */
    struct text param;   /* or TEXT_NONE */
    const char *reason;  /* the word of x-meltguard-reason */
    const char *problem_type;    /* URI of RFC 9457 type, or NULL: about:blank */
    const char *title;           /* for RFC 9457 */
    const char *violated_policy; /* the name in RateLimit-Policy, or NULL */
};

struct dialect {
    const char *name;
    /* Which operation a head asks for, in this dialect: OPERATION_GENERATE, or OPERATION_NONE for every path that is not
     * this dialect's to count.  A counted path with another method than the counted one is OPERATION_NONE, too. */
    enum operation (*matches)(const struct http_head *head);
    /* Reads the body.  ST_OK with *out; ST_INVALID with *why; ST_NOMEM: the arena is full. */
    enum status (*classify)(const struct http_head *head, struct text body, struct arena *arena,
                            struct job *out, struct complaint *why);
    /* For a 2xx answer: begin with its head, feed its content, end (is_cut: it broke off). */
    void (*count_begin)(struct counter *counter, const struct job *job,
                        const struct http_head *answer);
    void (*count_feed)(struct counter *counter, struct text content);
    /* Images to charge: those that were whole; -1 when they could not be counted. */
    int64_t (*count_end)(struct counter *counter, bool is_cut);
    /* Writes the body of a refusal. */
    void (*refuse)(const struct refusal *refusal, struct text_out *body);
    const char *refusal_content_type;
};

/* NULL-terminated names, for the configuration. */
extern const char *const dialect_names[];
const struct dialect *dialect_find(struct text name); /* NULL: none of that name */

/* application/problem+json (RFC 9457), for clients that prefer it in any dialect. */
extern const char problem_content_type[];
void problem_refuse(const struct refusal *refusal, struct text_out *body);
/* Does this Accept value (RFC 9110 12.5.1) prefer application/problem+json to application/json? */
bool problem_is_preferred(struct text accept);
