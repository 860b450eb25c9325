/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.c - SHA-256 by OpenSSL.      Runs on: any thread.
 * By its plain functions, which OpenSSL 3 has deprecated: with a digest that was fetched once, what EVP does around the
 * hash of a key still costs as much as the hash. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "identity/source.h"

#include <openssl/sha.h>

void identity_sha256(struct text bytes, unsigned char out[32])
{
    SHA256_CTX work;

    ASSERT(SHA256_Init(&work) == 1);
    ASSERT(SHA256_Update(&work, bytes.ptr, bytes.len) == 1);
    ASSERT(SHA256_Final(out, &work) == 1);
}
