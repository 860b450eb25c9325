/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - XXH3 in its canonical byte order. */

#include "base/hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void hash_128(struct text bytes, uint64_t seed, unsigned char out[HASH_LEN])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes.ptr, bytes.len, seed));
    memcpy(out, canonical.digest, HASH_LEN);
}
