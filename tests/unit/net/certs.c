/* SPDX-License-Identifier: Apache-2.0 */
/* certs.c - see certs.h. */

#include "unit/net/certs.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct maker {
    X509 *ca;
    EVP_PKEY *ca_key;
    int serial;
};

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX about;

    X509V3_set_ctx(&about, issuer, cert, NULL, NULL, 0);

    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &about, nid, value);

    cr_assert(extension);
    cr_assert(X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

/* ca: NULL for an authority. */
static X509 *make(struct maker *maker, const char *name, const char *names, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509 *issuer = maker->ca ? maker->ca : cert;
    X509_NAME *subject = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++maker->serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    extend(cert, issuer, NID_basic_constraints, maker->ca ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        extend(cert, issuer, NID_subject_alt_name, names);
    cr_assert(X509_sign(cert, maker->ca ? maker->ca_key : key, EVP_sha256()));
    return cert;
}

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    cr_assert(key);
    return key;
}

static void save(const char *dir, const char *name, char path[96], X509 *cert, EVP_PKEY *key)
{
    snprintf(path, 96, "%s/%s.pem", dir, name);

    FILE *file = fopen(path, "w");

    cr_assert(file);
    if (cert)
        cr_assert(PEM_write_X509(file, cert));
    if (key)
        cr_assert(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
}

static void issue(struct maker *maker, const char *dir, const char *name, const char *names,
                  char path[96], char key_path[96])
{
    char key_name[32];
    EVP_PKEY *key = make_key();
    X509 *cert = make(maker, name, names, key);

    snprintf(key_name, sizeof(key_name), "%s-key", name);
    save(dir, name, path, cert, NULL);
    save(dir, key_name, key_path, NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void make_authority(struct maker *maker, const char *dir, const char *name, char path[96])
{
    *maker = (struct maker){.ca_key = make_key()};
    X509 *cert = make(maker, name, NULL, maker->ca_key);

    maker->ca = cert;
    save(dir, name, path, cert, NULL);
}

static void free_maker(struct maker *maker)
{
    X509_free(maker->ca);
    EVP_PKEY_free(maker->ca_key);
}

void certs_make(struct certs *certs)
{
    struct maker maker, stranger;

    strcpy(certs->dir, "/tmp/mg-certs-XXXXXX");
    cr_assert(mkdtemp(certs->dir));
    make_authority(&maker, certs->dir, "ca", certs->ca);
    make_authority(&stranger, certs->dir, "stranger", certs->stranger_ca);
    issue(&maker, certs->dir, "server", "DNS:localhost,IP:127.0.0.1", certs->server,
          certs->server_key);
    issue(&maker, certs->dir, "other", "DNS:other.example", certs->other, certs->other_key);
    issue(&maker, certs->dir, "client", NULL, certs->client, certs->client_key);
    free_maker(&maker);
    free_maker(&stranger);
}

void certs_remove(struct certs *certs)
{
    const char *files[] = {certs->ca,    certs->stranger_ca, certs->server, certs->server_key,
                           certs->other, certs->other_key,   certs->client, certs->client_key};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(files[i]);
    rmdir(certs->dir);
}
