/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.c - SHA-256 by OpenSSL.      Runs on: any thread.
 * Each thread fetches the digest once: an implicit fetch a call would take four times as long as the hash itself. */
#include "identity/source.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/evp.h>

struct hasher {
    EVP_MD *digest;
    EVP_MD_CTX *work;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static _Thread_local struct hasher *mine; /* owned by the thread; freed by at_thread_end */

static void free_hasher(void *memory)
{
    struct hasher *hasher = memory;

    EVP_MD_CTX_free(hasher->work);
    EVP_MD_free(hasher->digest);
    free(hasher);
}

static void make_key(void)
{
    ASSERT(pthread_key_create(&at_thread_end, free_hasher) == 0);
}

/* A thread's first hash allocates; without memory for that nothing can be served, so it is asserted. */
static struct hasher *hasher_of_thread(void)
{
    if (mine)
        return mine;
    ASSERT(pthread_once(&once, make_key) == 0);
    struct hasher *hasher = calloc(1, sizeof(*hasher));
    ASSERT(hasher != NULL);
    hasher->digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->work = EVP_MD_CTX_new();
    ASSERT(hasher->digest != NULL && hasher->work != NULL);
    ASSERT(pthread_setspecific(at_thread_end, hasher) == 0);
    mine = hasher;
    return hasher;
}

void identity_sha256(struct text bytes, unsigned char out[32])
{
    struct hasher *hasher = hasher_of_thread();
    unsigned len = 0;

    ASSERT(EVP_DigestInit_ex2(hasher->work, hasher->digest, NULL) == 1);
    ASSERT(EVP_DigestUpdate(hasher->work, bytes.ptr, bytes.len) == 1);
    ASSERT(EVP_DigestFinal_ex(hasher->work, out, &len) == 1 && len == 32);
}
