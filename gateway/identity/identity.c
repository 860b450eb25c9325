/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - tries the sources in their order.      Runs on: worker.
 * What a request carries as its key is read once; a source that looks at keys refuses one that is malformed. */
#include "identity/source.h"

#include <string.h>

/*    kind       tried by              looks at the key */
#define SOURCE_TABLE(X)                                                                            \
    X(KEYFILE, identity_by_keyfile, true)                                                          \
    X(KEYSTORE, identity_by_keystore, true)                                                        \
    X(HEADER, identity_by_header, false)                                                           \
    X(BEARER, identity_by_bearer, true)                                                            \
    X(ADDRESS, identity_by_address, false)

static const struct source_row {
    identity_source_fn *try;
    bool looks_at_key;
} rows[] = {
#define X(kind, source, looks_at_key) [IDENTITY_##kind] = {source, looks_at_key},
    SOURCE_TABLE(X)
#undef X
};

static enum identity_answer try_source(const struct identity_case *c, struct identity_found *out,
                                       enum identity_fault *fault)
{
    const struct source_row *row = &rows[c->source->kind];

    ASSERT(row->try != NULL);
    if (row->looks_at_key && c->credential.state == CREDENTIAL_MALFORMED) {
        *fault = IDENTITY_FAULT_MALFORMED;
        return IDENTITY_REFUSES;
    }
    return row->try(c, out, fault);
}

/* What is wrong when no source applied. */
static enum identity_fault fault_of(enum credential_state state)
{
    switch (state) {
    case CREDENTIAL_NONE:
        return IDENTITY_FAULT_MISSING;
    case CREDENTIAL_TOKEN:
    case CREDENTIAL_FOREIGN:
        return IDENTITY_FAULT_BAD_KEY;
    case CREDENTIAL_MALFORMED:
        break;
    }
    return IDENTITY_FAULT_MALFORMED;
}

void identity_account(struct account *out, struct text id, int tier)
{
    ASSERT(id.len <= ACCOUNT_ID_MAX);
    memcpy(out->id, id.ptr, id.len);
    out->id[id.len] = '\0';
    out->digest = identity_digest(id);
    out->tier = tier;
    out->team = -1;
    out->zone = NULL;
}

enum status identity_resolve(const struct identity_ask *ask, struct identity_found *out,
                             enum identity_fault *fault, struct op *op)
{
    struct identity_case c = {.ask = ask, .credential = credential_read(ask->head), .op = op};

    for (int i = ask->wait->source; i < ask->config->identity_len; i++) {
        c.source = &ask->config->identity[i];
        enum identity_answer answer = try_source(&c, out, fault);
        if (answer == IDENTITY_REFUSES)
            return ST_REFUSED;
        ask->wait->source = i;
        if (answer == IDENTITY_WAITS)
            return ST_PENDING;
        if (answer != IDENTITY_DECIDES)
            continue;
        out->kind = c.source->kind;
        return ST_OK;
    }
    *fault = fault_of(c.credential.state);
    return ST_REFUSED;
}

struct account_digest identity_digest(struct text account_id)
{
    unsigned char sha256[32];
    struct account_digest digest;

    identity_sha256(account_id, sha256);
    memcpy(digest.bytes, sha256, sizeof(digest.bytes));
    return digest;
}
