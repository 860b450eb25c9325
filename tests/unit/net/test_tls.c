/* SPDX-License-Identifier: Apache-2.0 */
/* test_tls.c - TLS over an in-memory pair: the other end is OpenSSL's server side, turned by hand. */

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

#include "net/tls.h"
#include "unit/net/certs.h"

#define TURNS_MAX 2000
#define CAPACITY  300 /* smaller than a flight of the handshake */

static struct certs certs;
static struct loop *loop;
static struct tls *tls;
static struct stream s, far;
static SSL_CTX *far_shared;
static SSL *far_ssl;
static int ready_calls, done_calls;
static enum status done_st;
static unsigned ready_what;

static void on_ready(struct stream *stream, unsigned what)
{
    UNUSED(stream);
    ready_calls++;
    ready_what |= what;
}

static void on_done(struct op *op, enum status st)
{
    UNUSED(op);
    done_calls++;
    done_st = st;
}

static struct op op = {.done = on_done};

static void begin(void)
{
    certs_make(&certs);
    cr_assert_eq(loop_new(&loop), ST_OK);
    s.ready = far.ready = on_ready;
}

static void finish(void)
{
    stream_close(&s);
    stream_close(&far);
    SSL_free(far_ssl);
    SSL_CTX_free(far_shared);
    tls_free(&tls);
    loop_free(&loop);
    certs_remove(&certs);
}

TestSuite(tls, .init = begin, .fini = finish, .timeout = 30);

static enum status make_tls(const char *ca, const char *cert, const char *key)
{
    char buf[256];
    struct text_out error;
    struct tls_files files = {ca, cert, key};

    text_out_init(&error, buf, sizeof(buf));
    return tls_new(&files, &error, &tls);
}

static void make_far(const char *cert, const char *key, bool asks_for_certificate)
{
    far_shared = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate_chain_file(far_shared, cert), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(far_shared, key, SSL_FILETYPE_PEM), 1);
    if (asks_for_certificate) {
        cr_assert_eq(SSL_CTX_load_verify_locations(far_shared, certs.ca, NULL), 1);
        SSL_CTX_set_verify(far_shared, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    far_ssl = SSL_new(far_shared);
    SSL_set_bio(far_ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(far_ssl);
}

/* Bytes between the far end's OpenSSL and its stream. */
static void turn_far(void)
{
    char buf[256];
    size_t len;

    while (stream_is_open(&far) && stream_read(&far, buf, sizeof(buf), &len) == ST_OK)
        cr_assert_eq(BIO_write(SSL_get_rbio(far_ssl), buf, (int)len), (int)len);
    if (!SSL_is_init_finished(far_ssl))
        (void)SSL_do_handshake(far_ssl);

    char *out;
    long out_len = BIO_get_mem_data(SSL_get_wbio(far_ssl), &out);
    struct iovec iov = {out, (size_t)out_len};

    if (out_len > 0 && stream_is_open(&far) && stream_write(&far, &iov, 1, &len) == ST_OK)
        for (size_t taken = 0; taken < len;) {
            int part = BIO_read(SSL_get_wbio(far_ssl), buf, (int)MIN(sizeof(buf), len - taken));

            taken += (size_t)part;
        }
}

static void turn(void)
{
    turn_far();
    loop_run_once(loop, 1);
}

#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        bool is_true = false;                                                                      \
        for (int turns = 0; !is_true && turns < TURNS_MAX; turns++) {                              \
            is_true = (cond);                                                                      \
            if (!is_true)                                                                          \
                turn();                                                                            \
        }                                                                                          \
        cr_assert(is_true);                                                                        \
    } while (0)

static void start(const char *host)
{
    struct stream *raw;

    cr_assert_eq(tls_begin(&s, loop, tls, host, &raw), ST_OK);
    cr_assert_eq(stream_pair(raw, &far, loop, CAPACITY), ST_OK);
    cr_assert_eq(tls_handshake(&s, &op), ST_PENDING);
}

static void connect_to(const char *host)
{
    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start(host);
    UNTIL(done_calls > 0 && (done_st || SSL_is_init_finished(far_ssl)));
}

static void expect_refused(const char *why)
{
    UNTIL(done_calls > 0);
    cr_assert_eq(done_st, ST_REFUSED);
    cr_assert(!stream_is_open(&s));
    cr_assert(s.why && strstr(s.why, why), "%s", s.why);
}

Test(tls, a_name_and_an_address_are_accepted)
{
    connect_to("localhost");
    cr_assert_eq(done_st, ST_OK, "%s", s.why);
    stream_close(&s);
    stream_close(&far);
    SSL_free(far_ssl);
    SSL_CTX_free(far_shared);
    make_far(certs.server, certs.server_key, false);
    done_calls = 0;
    start("127.0.0.1");
    UNTIL(done_calls > 0);
    cr_assert_eq(done_st, ST_OK, "%s", s.why);
    cr_assert_str_eq(SSL_get_version(far_ssl), "TLSv1.3");
    cr_assert_null(SSL_get_servername(far_ssl, TLSEXT_NAMETYPE_host_name), "addresses are no SNI");
}

Test(tls, another_name_is_refused)
{
    connect_to("redis.example");
    expect_refused("hostname mismatch");
}

Test(tls, another_address_is_refused)
{
    connect_to("127.0.0.2");
    expect_refused("IP address mismatch");
}

Test(tls, another_authority_is_refused)
{
    cr_assert_eq(make_tls(certs.stranger_ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start("localhost");
    expect_refused("unable to get local issuer certificate");
}

Test(tls, the_system_s_authorities_do_not_know_ours)
{
    cr_assert_eq(make_tls(NULL, "", ""), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start("localhost");
    expect_refused("certificate");
}

Test(tls, shows_a_certificate)
{
    cr_assert_eq(make_tls(certs.ca, certs.client, certs.client_key), ST_OK);
    make_far(certs.server, certs.server_key, true);
    start("localhost");
    UNTIL(done_calls > 0 && SSL_is_init_finished(far_ssl));
    cr_assert_eq(done_st, ST_OK);
    cr_assert_eq(SSL_get_verify_result(far_ssl), X509_V_OK);
}

static enum status read_status(char *buf, size_t size, size_t *len)
{
    return stream_read(&s, buf, size, len);
}

Test(tls, without_a_certificate_that_is_asked_for)
{
    char buf[8];
    size_t len;

    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, true);
    start("localhost");
    UNTIL(done_calls > 0);
    if (done_st == ST_OK) /* in TLS 1.3 the other side says no after the handshake */
        UNTIL(read_status(buf, sizeof(buf), &len) == ST_UNAVAILABLE);
    cr_assert(strstr(s.why, "certificate"), "%s", s.why);
}

Test(tls, bytes_both_ways_with_back_pressure)
{
    static char sent[50000], got[50000];
    size_t written = 0, arrived = 0;

    connect_to("localhost");
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7);
    stream_want(&s, STREAM_READ | STREAM_WRITE);
    for (int turns = 0; arrived < sizeof(got) && turns < TURNS_MAX; turns++) {
        struct iovec iov[] = {{sent + written, MIN(sizeof(sent) - written, 10U)},
                              {sent + written + 10, 0}};
        size_t len = 0;

        if (written < sizeof(sent)) {
            iov[1].iov_len = sizeof(sent) - written - iov[0].iov_len;
            enum status st = stream_write(&s, iov, 2, &len);

            cr_assert(st == ST_OK || st == ST_PENDING);
            written += len;
        }
        turn();
        if (SSL_read_ex(far_ssl, got + arrived, sizeof(got) - arrived, &len))
            arrived += len;
    }
    cr_assert_arr_eq(sent, got, sizeof(sent));
    cr_assert_eq(SSL_write(far_ssl, sent, 20000), 20000);
    memset(got, 0, sizeof(got));
    arrived = 0;
    for (int turns = 0; arrived < 20000 && turns < TURNS_MAX; turns++) {
        size_t len = 0;
        enum status st = read_status(got + arrived, 1000, &len);

        cr_assert(st == ST_OK || st == ST_PENDING);
        arrived += len;
        if (st)
            turn();
    }
    cr_assert_arr_eq(sent, got, 20000);
}

Test(tls, tells_of_what_it_has_read_ahead)
{
    char buf[4];
    size_t len;

    connect_to("localhost");
    cr_assert_eq(SSL_write(far_ssl, "abcdefgh", 8), 8);
    stream_want(&s, STREAM_READ);
    UNTIL(ready_calls > 0 && read_status(buf, sizeof(buf), &len) == ST_OK);
    cr_assert_eq(len, 4);
    stream_want(&s, 0);
    ready_calls = 0;
    for (int i = 0; i < 5; i++)
        turn();
    cr_assert_eq(ready_calls, 0, "it is not wanted");
    stream_want(&s, STREAM_READ);
    turn();
    turn();
    cr_assert_gt(ready_calls, 0);
    cr_assert_eq(read_status(buf, sizeof(buf), &len), ST_OK);
    cr_assert_eq(memcmp(buf, "efgh", 4), 0);
    cr_assert_eq(read_status(buf, sizeof(buf), &len), ST_PENDING);
}

Test(tls, an_orderly_end_and_a_cut)
{
    char buf[4];
    size_t len;

    connect_to("localhost");
    SSL_shutdown(far_ssl);
    UNTIL(read_status(buf, sizeof(buf), &len) == ST_CLOSED);
    stream_close(&s);
    stream_close(&far);
    SSL_free(far_ssl);
    SSL_CTX_free(far_shared);
    make_far(certs.server, certs.server_key, false);
    done_calls = 0;
    start("localhost");
    UNTIL(done_calls > 0 && SSL_is_init_finished(far_ssl));
    stream_close(&far);
    UNTIL(read_status(buf, sizeof(buf), &len) == ST_UNAVAILABLE);
}

Test(tls, says_goodbye)
{
    connect_to("localhost");
    stream_close(&s);
    UNTIL(SSL_read(far_ssl, &(char){0}, 1) <= 0 &&
          SSL_get_shutdown(far_ssl) & SSL_RECEIVED_SHUTDOWN);
}

Test(tls, a_handshake_can_be_cancelled)
{
    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start("localhost");
    turn();
    cr_assert(op_is_pending(&op));
    op_cancel(&op);
    cr_assert(!stream_is_open(&s));
    for (int i = 0; i < 20; i++)
        turn();
    cr_assert_eq(done_calls, 0);
}

Test(tls, one_that_is_cut_in_the_handshake_is_refused)
{
    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start("localhost");
    stream_close(&far);
    expect_refused("");
}

Test(tls, an_other_side_without_tls_is_refused)
{
    struct iovec iov = {"-ERR unknown command\r\n", 22};
    size_t len;

    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    start("localhost");
    cr_assert_eq(stream_write(&far, &iov, 1, &len), ST_OK);
    for (int i = 0; i < 500 && !done_calls; i++)
        loop_run_once(loop, 10);
    expect_refused("wrong version");
}

Test(tls, a_connection_that_is_refused)
{
    struct address nobody;

    cr_assert_eq(make_tls(certs.ca, NULL, NULL), ST_OK);
    make_far(certs.server, certs.server_key, false);
    cr_assert_eq(address_parse(TEXT("127.0.0.1:1"), &nobody), ST_OK);

    enum status st = tls_connect(&s, loop, &nobody, tls, "localhost", &op);

    if (st == ST_PENDING) {
        UNTIL(done_calls > 0);
        st = done_st;
    }
    cr_assert_eq(st, ST_REFUSED);
    cr_assert(!stream_is_open(&s));
}

static void expect_error(const char *ca, const char *cert, const char *key, const char *expected)
{
    char buf[256];
    struct text_out error;
    struct tls_files files = {ca, cert, key};

    text_out_init(&error, buf, sizeof(buf));
    cr_assert_eq(tls_new(&files, &error, &tls), ST_INVALID);
    cr_assert(strstr(buf, expected), "%s", buf);
    cr_assert_null(tls);
}

Test(tls, files_that_are_wrong)
{
    expect_error("/nowhere/ca.pem", NULL, NULL, "CA file /nowhere/ca.pem: No such file");
    expect_error(certs.ca, certs.client, NULL, "without its key");
    expect_error(certs.ca, NULL, certs.client_key, "without its certificate");
    expect_error(certs.ca, certs.client_key, certs.client_key, "certificate file");
    expect_error(certs.ca, certs.client, certs.server_key, "key file");
    expect_error(certs.server_key, NULL, NULL, "CA file");
}
