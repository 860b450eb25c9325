/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - reads one answer from pieces: its status, and where it ends.  The body is counted, not kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEAD_MAX 2048

struct answer {
    char head[ANSWER_HEAD_MAX];
    size_t head_len;
    bool is_head_done;
    bool is_chunked;
    bool closes; /* Connection: close */
    int status;
    int64_t body_bytes; /* so far; of a chunked body with its framing */
    int64_t body_left;  /* of a body of known length */
    char tail[5];       /* the last bytes of a chunked body */
};

enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_BROKEN };

void answer_begin(struct answer *answer);
/* Nothing may follow the answer's end, since nothing was asked. */
enum answer_state answer_feed(struct answer *answer, const char *bytes, size_t len);
