/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json_read.c - the reader of requests against yajl: the same documents are taken, the same tokens told. */
#include <string.h>

#include "dialect/json_read.h"

#define TOKENS_BYTES (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct told {
    char buf[TOKENS_BYTES];
    struct text_out out;
    bool keeps_texts;
};

static bool on_token(void *owner, enum json_kind kind, struct text text, int depth)
{
    struct told *told = owner;

    text_out_char(&told->out, (char)('a' + kind));
    text_out_int(&told->out, depth);
    text_out_char(&told->out, ' ');
    if (told->keeps_texts || kind == JSON_NUMBER) {
        text_out_int(&told->out, (int64_t)text.len);
        text_out_add(&told->out, text);
    }
    return true;
}

/* The one thing on which they differ is what an escaped surrogate without its other half stands for. */
static bool may_hold_surrogates(struct text document)
{
    for (size_t i = 0; i + 2 < document.len; i++) {
        if (document.ptr[i] == '\\' && document.ptr[i + 1] == 'u' &&
            (document.ptr[i + 2] | 0x20) == 'd')
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct told ours, theirs;
    struct text document = {(const char *)bytes, len};

    ours.keeps_texts = theirs.keeps_texts = !may_hold_surrogates(document);
    text_out_init(&ours.out, ours.buf, sizeof(ours.buf));
    text_out_init(&theirs.out, theirs.buf, sizeof(theirs.buf));
    enum status st = json_read(document, on_token, &ours, NULL);
    ASSERT(st == json_parse(document, on_token, &theirs, NULL));
    if (st == ST_OK)
        ASSERT(text_equal(text_out_text(&ours.out), text_out_text(&theirs.out)));
    return 0;
}
