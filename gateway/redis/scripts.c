/* SPDX-License-Identifier: Apache-2.0 */
/* scripts.c - see scripts.h. */

#include "redis/scripts.h"

#include <openssl/evp.h>

#include "redis/wire.h"

static void put_call(struct redis_scripts *scripts, int script)
{
    char *out = scripts->calls[script];

    out = wire_arg(out, "EVALSHA", strlen("EVALSHA"));
    out = wire_arg(out, scripts->digests[script], SHA1_HEX_LEN);
    ASSERT(out == scripts->calls[script] + SCRIPT_CALL_LEN);
}

enum status redis_scripts_init(struct redis_scripts *scripts, const char *const *sources, int len)
{
    ASSERT(len <= REDIS_SCRIPTS_MAX);
    scripts->len = len;
    scripts->sources = sources;
    for (int i = 0; i < len; i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned digest_len;
        struct text source = text_of(sources[i]);
        struct text_out hex;

        if (!EVP_Digest(source.ptr, source.len, digest, &digest_len, EVP_sha1(), NULL))
            return ST_UNAVAILABLE;
        text_out_init(&hex, scripts->digests[i], sizeof(scripts->digests[i]));
        text_out_hex(&hex, digest, digest_len);
        put_call(scripts, i);
    }
    return ST_OK;
}
