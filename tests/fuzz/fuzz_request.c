/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_request.c - requests, pipelined, however cut: the same heads, bodies and faults.
 * The first byte chooses the limits, the second how the bytes are cut; the rest is what comes in. */
#include "fuzz/http_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2 || len > FUZZ_INPUT_MAX)
        return 0;
    struct fuzz_way way = {
        .side = HTTP_REQUESTS,
        .limits = {.target_bytes = bytes[0] & 1 ? 16 : 4096,
                   .head_bytes = bytes[0] & 2 ? 128 : FUZZ_INPUT_MAX},
    };
    fuzz_compare(way, (struct text){(const char *)bytes + 2, len - 2}, bytes[1]);
    return 0;
}
