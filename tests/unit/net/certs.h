/* SPDX-License-Identifier: Apache-2.0 */
/* certs.h - an authority, and certificates of its making, in a temporary folder. */
#pragma once

struct certs {
    char dir[64];
    char ca[96];
    char server[96], server_key[96]; /* for localhost and 127.0.0.1 */
    char other[96], other_key[96];   /* for other.example alone */
    char client[96], client_key[96];
    char stranger_ca[96]; /* another authority */
};

void certs_make(struct certs *certs);
void certs_remove(struct certs *certs);
