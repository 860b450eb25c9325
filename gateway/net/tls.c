/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c - see tls.h.      Runs on: the loop's thread; tls_new at start-up.
 * A session stands between two streams: the outer one, whose owner knows nothing of it, and the raw one, which OpenSSL
 * reads and writes by a BIO of our own.  So TLS runs over whatever is a stream, and never sees a descriptor.  What was read
 * ahead and decrypted is not in the raw stream any more: a bell tells of it, as a level-triggered descriptor would. */
#include "net/tls.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A record's worth: more is not sent at once anyway. */
#define GATHER_BYTES 16384

struct tls {
    SSL_CTX *shared; /* counted, also by its sessions */
};

struct tls_session {
    struct stream raw;
    struct stream *outer;
    SSL *ssl; /* owned */
    struct op connected;
    unsigned read_on,
        write_on;   /* what the raw stream must be, so that the outer one may be read, or written */
    bool has_ended; /* the raw stream has no more */
    bool is_at_work; /* the handshake is done */
    struct turn_hook bell;
    struct retired retired;
};

/* --- the BIO over a raw stream --- */

static int bio_read(BIO *bio, char *buf, size_t size, size_t *out_len)
{
    struct tls_session *session = BIO_get_data(bio);
    enum status st = ST_CLOSED;

    BIO_clear_retry_flags(bio);
    if (stream_is_open(&session->raw))
        st = stream_read(&session->raw, buf, size, out_len);
    if (st == ST_PENDING)
        BIO_set_retry_read(bio);
    if (st == ST_CLOSED)
        session->has_ended = true;
    return st == ST_OK;
}

static int bio_write(BIO *bio, const char *buf, size_t len, size_t *out_len)
{
    struct tls_session *session = BIO_get_data(bio);
    struct iovec iov = {(void *)(uintptr_t)buf, len};
    enum status st = ST_UNAVAILABLE;

    BIO_clear_retry_flags(bio);
    if (stream_is_open(&session->raw))
        st = stream_write(&session->raw, &iov, 1, out_len);
    if (st == ST_PENDING)
        BIO_set_retry_write(bio);
    return st == ST_OK;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
    const struct tls_session *session = BIO_get_data(bio);

    UNUSED(number);
    UNUSED(pointer);
    if (what == BIO_CTRL_EOF)
        return session->has_ended;
    return what == BIO_CTRL_FLUSH;
}

/* Made once and never freed: a session's BIO may outlive the struct tls that it was made with. */
static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method && BIO_meth_set_read_ex(method, bio_read) &&
        BIO_meth_set_write_ex(method, bio_write) && BIO_meth_set_ctrl(method, bio_control))
        return;
    BIO_meth_free(method);
    method = NULL;
}

static bool has_method(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    return pthread_once(&once, make_method) == 0 && method;
}

/* --- what is shared --- */

/* A passphrase is never asked for at the terminal. */
static int no_passphrase(char *buf, int size, int is_writing, void *owner)
{
    UNUSED(buf);
    UNUSED(size);
    UNUSED(is_writing);
    UNUSED(owner);
    return -1;
}

static bool has(const char *file)
{
    return file && file[0] != '\0';
}

static enum status complain(struct text_out *error, const char *what, const char *file)
{
    unsigned long first = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first)) : ERR_reason_error_string(first);

    text_out_printf(error, "%s%s%s: %s", what, file[0] ? " " : "", file,
                    reason ? reason : "cannot be used");
    return ST_INVALID;
}

static enum status trust(SSL_CTX *shared, const char *ca, struct text_out *error)
{
    if (!has(ca))
        return SSL_CTX_set_default_verify_paths(shared) ? ST_OK
                                                        : complain(error, "the system's CAs", "");
    return SSL_CTX_load_verify_locations(shared, ca, NULL) ? ST_OK : complain(error, "CA file", ca);
}

static enum status show(SSL_CTX *shared, const struct tls_files *files, struct text_out *error)
{
    if (!has(files->cert) && !has(files->key))
        return ST_OK;
    if (!has(files->cert) || !has(files->key)) {
        text_out_add(error, TEXT("a certificate without its key, or a key without its "
                                 "certificate"));
        return ST_INVALID;
    }
    if (SSL_CTX_use_certificate_chain_file(shared, files->cert) != 1)
        return complain(error, "certificate file", files->cert);
    if (SSL_CTX_use_PrivateKey_file(shared, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(shared) != 1)
        return complain(error, "key file", files->key);
    return ST_OK;
}

static void set_rules(SSL_CTX *shared)
{
    SSL_CTX_set_options(shared, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(shared, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(shared, 1);
    SSL_CTX_set_verify(shared, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(shared, no_passphrase);
}

enum status tls_new(const struct tls_files *files, struct text_out *error, struct tls **out)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    enum status st = ST_NOMEM;

    if (!tls)
        return ST_NOMEM;
    ERR_clear_error();
    tls->shared = SSL_CTX_new(TLS_client_method());
    if (has_method() && tls->shared && SSL_CTX_set_min_proto_version(tls->shared, TLS1_2_VERSION)) {
        set_rules(tls->shared);
        st = trust(tls->shared, files->ca, error);
        if (!st)
            st = show(tls->shared, files, error);
    }
    if (st)
        tls_free(&tls);
    else
        *out = tls;
    return st;
}

void tls_free(struct tls **tls)
{
    if (!*tls)
        return;
    SSL_CTX_free((*tls)->shared);
    free(*tls);
    *tls = NULL;
}

/* --- the outer stream's ops --- */

/* The outer stream's, through what OpenSSL needs for it. */
static void update_interest(struct tls_session *session)
{
    unsigned wanted = session->outer->wanted;
    unsigned raw = (wanted & STREAM_READ ? session->read_on : 0U) |
                   (wanted & STREAM_WRITE ? session->write_on : 0U);

    stream_want(&session->raw, raw);
}

static struct tls_session *session_of(const struct stream *s)
{
    return s->read_event;
}

static const char *reason_of(const struct tls_session *session)
{
    long verdict = SSL_get_verify_result(session->ssl);

    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    return reason ? reason : "the connection was lost";
}

/* Of a call that did not go well: how to go on.  on: what the raw stream must be for that. */
static enum status status_of(struct tls_session *session, int result, unsigned *on)
{
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        *on = STREAM_READ;
        return ST_PENDING;
    case SSL_ERROR_WANT_WRITE:
        *on = STREAM_WRITE;
        return ST_PENDING;
    case SSL_ERROR_ZERO_RETURN:
        return ST_CLOSED;
    default:
        session->outer->why = reason_of(session);
        return ST_UNAVAILABLE;
    }
}

static enum status tls_read(struct stream *s, void *buf, size_t size, size_t *out_len)
{
    struct tls_session *session = session_of(s);

    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, buf, size, out_len);

    if (result == 1) {
        session->read_on = STREAM_READ;
        return ST_OK;
    }
    enum status st = status_of(session, result, &session->read_on);

    if (st == ST_PENDING)
        update_interest(session);
    return st;
}

static size_t gather(const struct iovec *iov, int iov_len, char buf[GATHER_BYTES])
{
    size_t len = 0;

    for (int i = 0; i < iov_len && len < GATHER_BYTES; i++) {
        size_t part = MIN(iov[i].iov_len, GATHER_BYTES - len);

        if (part > 0)
            memcpy(buf + len, iov[i].iov_base, part);
        len += part;
    }
    return len;
}

/* OpenSSL wants a write that was answered ST_PENDING to be tried again with the same bytes first: so does the owner. */
static enum status tls_write(struct stream *s, const struct iovec *iov, int iov_len,
                             size_t *out_len)
{
    struct tls_session *session = session_of(s);
    char buf[GATHER_BYTES];
    const void *bytes = iov->iov_base;
    size_t len = iov->iov_len;

    if (iov_len > 1) {
        bytes = buf;
        len = gather(iov, iov_len, buf);
    }
    *out_len = 0;
    if (len == 0)
        return ST_OK;
    ERR_clear_error();
    int result = SSL_write_ex(session->ssl, bytes, len, out_len);

    if (result == 1) {
        session->write_on = STREAM_WRITE;
        return ST_OK;
    }
    enum status st = status_of(session, result, &session->write_on);

    if (st == ST_PENDING)
        update_interest(session);
    return st == ST_CLOSED ? ST_UNAVAILABLE : st;
}

static void tls_want(struct stream *s, unsigned what)
{
    struct tls_session *session = session_of(s);

    s->wanted = (uint8_t)what;
    update_interest(session);
    if ((what & STREAM_READ) && SSL_has_pending(session->ssl))
        loop_at_next_turn(s->loop, &session->bell);
}

static void on_bell(struct turn_hook *bell)
{
    struct tls_session *session = container_of(bell, struct tls_session, bell);
    struct stream *s = session->outer;

    if (s->wanted & STREAM_READ)
        s->ready(s, STREAM_READ);
}

static void free_session(struct retired *retired)
{
    struct tls_session *session = container_of(retired, struct tls_session, retired);

    SSL_free(session->ssl);
    free(session);
}

static void tls_shut_write(struct stream *s)
{
    struct tls_session *session = session_of(s);

    (void)SSL_shutdown(session->ssl);
    stream_shut_write(&session->raw);
}

static void end_session(struct stream *s)
{
    struct tls_session *session = session_of(s);

    turn_hook_cancel(&session->bell);
    s->read_event = NULL;
    loop_retire(s->loop, &session->retired, free_session);
}

static void tls_close(struct stream *s)
{
    struct tls_session *session = session_of(s);

    op_cancel(&session->connected);
    if (session->is_at_work)
        (void)SSL_shutdown(session->ssl);
    stream_close(&session->raw);
    end_session(s);
}

static void tls_reset(struct stream *s)
{
    op_cancel(&session_of(s)->connected);
    stream_reset(&session_of(s)->raw);
    end_session(s);
}

static const struct stream_ops tls_ops = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .want = tls_want,
    .shut_write = tls_shut_write,
    .close = tls_close,
    .reset = tls_reset,
};

/* --- the handshake --- */

/* One step: ST_OK when it is done. */
static enum status shake(struct tls_session *session)
{
    unsigned on = 0;

    ERR_clear_error();
    int result = SSL_connect(session->ssl);

    if (result == 1) {
        session->is_at_work = true;
        stream_want(&session->raw, 0);
        return ST_OK;
    }
    enum status st = status_of(session, result, &on);

    if (st == ST_PENDING) {
        stream_want(&session->raw, on);
        return st;
    }
    return ST_REFUSED;
}

static void end_wait(struct stream *s, enum status st)
{
    struct op *op = s->connect_op;

    s->connect_op = NULL;
    if (st)
        stream_close(s);
    op_done(op, st);
}

static void on_raw_ready(struct stream *raw, unsigned what)
{
    struct tls_session *session = container_of(raw, struct tls_session, raw);
    struct stream *s = session->outer;

    if (!session->is_at_work) {
        enum status st = shake(session);

        if (st != ST_PENDING)
            end_wait(s, st);
        return;
    }
    unsigned told = (what & session->read_on ? STREAM_READ : 0U) |
                    (what & session->write_on ? STREAM_WRITE : 0U);

    told &= s->wanted;
    if (told)
        s->ready(s, told);
}

static void cancel(struct op *op)
{
    stream_close(op->callee);
}

static enum status begin_wait(struct stream *s, struct op *op)
{
    s->connect_op = op;
    op->callee = s;
    op->cancel = cancel;
    return ST_PENDING;
}

enum status tls_handshake(struct stream *s, struct op *op)
{
    enum status st = shake(session_of(s));

    if (st == ST_PENDING)
        return begin_wait(s, op);
    if (st)
        stream_close(s);
    return st;
}

/* --- the beginning --- */

static bool is_address(const char *host)
{
    char buf[64];
    struct text_out out;
    struct address address;

    text_out_init(&out, buf, sizeof(buf));
    text_out_printf(&out, strchr(host, ':') ? "[%s]:0" : "%s:0", host);
    return !out.is_full && address_parse(text_out_text(&out), &address) == ST_OK;
}

/* Whom the certificate must name, and which certificate is asked for (RFC 6066, 3: names only). */
static bool expect(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);

    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(rules, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *make_ssl(const struct tls *tls, const char *host, struct tls_session *session)
{
    SSL *ssl = SSL_new(tls->shared);
    BIO *bio = BIO_new(method);

    if (!ssl || !bio || !expect(ssl, host)) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

enum status tls_begin(struct stream *s, struct loop *loop, const struct tls *tls, const char *host,
                      struct stream **out)
{
    struct tls_session *session = calloc(1, sizeof(*session));

    s->ops = NULL;
    s->why = NULL;
    if (!session)
        return ST_NOMEM;
    session->ssl = make_ssl(tls, host, session);
    if (!session->ssl) {
        free(session);
        return ST_NOMEM;
    }
    session->outer = s;
    session->raw.ready = on_raw_ready;
    session->read_on = STREAM_READ;
    session->write_on = STREAM_WRITE;
    turn_hook_init(&session->bell, on_bell);
    s->ops = &tls_ops;
    s->loop = loop;
    s->wanted = 0;
    s->fd = -1;
    s->read_event = session;
    s->write_event = NULL;
    s->other = NULL;
    s->connect_op = NULL;
    *out = &session->raw;
    return ST_OK;
}

static void on_connected(struct op *op, enum status st)
{
    struct tls_session *session = container_of(op, struct tls_session, connected);

    if (!st)
        st = shake(session);
    if (st != ST_PENDING)
        end_wait(session->outer, st);
}

enum status tls_connect(struct stream *s, struct loop *loop, const struct address *to,
                        const struct tls *tls, const char *host, struct op *op)
{
    struct stream *raw;
    enum status st = tls_begin(s, loop, tls, host, &raw);

    if (st)
        return st;
    struct tls_session *session = session_of(s);

    session->connected.done = on_connected;
    st = stream_connect(raw, loop, to, &session->connected);
    if (st == ST_PENDING)
        return begin_wait(s, op);
    if (!st)
        return tls_handshake(s, op);
    stream_close(s);
    return st;
}
