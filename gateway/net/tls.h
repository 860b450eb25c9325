/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - streams over TLS (RFC 8446, RFC 5246), the client's side: a third kind of stream, over another one.
 *
 * Versions 1.2 and 1.3, no renegotiation.  The other side must show a certificate for the name that was connected to
 * (RFC 6125; an address must be named by the certificate as an address), from an authority that is trusted. */
#pragma once

#include "net/stream.h"

/* What all such streams of one purpose share: whom they trust, and what they show.  Any thread. */
struct tls;

/* Files in PEM; NULL or "" where there is none. */
struct tls_files {
    const char *ca;   /* the only authorities that are trusted; none: the system's */
    const char *cert; /* shown when asked for, with its chain; with key or not at all */
    const char *key;  /* without a passphrase */
};

/* ST_OK, ST_INVALID with what is wrong in error, or ST_NOMEM.  Reads files: start-up. */
MUST_CHECK enum status tls_new(const struct tls_files *files, struct text_out *error,
                               struct tls **out);
/* Streams that are open may live on. */
void tls_free(struct tls **tls);

/* As stream_connect(), and done when both sides have proved who they are.  host: a name, or an address without brackets.
 * What went wrong, then or later, is in s->why. */
MUST_CHECK enum status tls_connect(struct stream *s, struct loop *loop, const struct address *to,
                                   const struct tls *tls, const char *host, struct op *op);

/* The same in two steps: *out is to be opened by the caller (its ready is taken), then the handshake begins.  After either
 * one fails, s is closed. */
MUST_CHECK enum status tls_begin(struct stream *s, struct loop *loop, const struct tls *tls,
                                 const char *host, struct stream **out);
MUST_CHECK enum status tls_handshake(struct stream *s, struct op *op);
