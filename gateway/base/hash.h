/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - 128 bits of XXH3 that are the same in every process and on every machine.
 *
 * For names that operators choose.  It is no secret: never for what strangers choose, who could aim at a collision. */
#pragma once

#include "base/text.h"

#define HASH_LEN 16

/* seed: what the bytes are, so that equal bytes of different kinds differ.  Nothing is allocated. */
void hash_128(struct text bytes, uint64_t seed, unsigned char out[HASH_LEN]);
