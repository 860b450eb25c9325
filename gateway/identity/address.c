/* SPDX-License-Identifier: Apache-2.0 */
/* address.c - the network address of a client without a key is its account.      Runs on: worker.
 * All clients of one prefix share it; so do all that come by a Unix socket: "ip:unix". */
#include "identity/source.h"

/* The prefix where it is shorter than the address: "/24"; nothing otherwise. */
static void print_prefix(struct text_out *out, const struct identity_source *source, int family)
{
    bool is_v4 = family == AF_INET;
    int bits = is_v4 ? source->prefix_v4 : source->prefix_v6;

    if ((is_v4 && bits < 32) || (family == AF_INET6 && bits < 128))
        text_out_printf(out, "/%d", bits);
}

enum identity_answer identity_by_address(const struct identity_case *c, struct identity_found *out,
                                         enum identity_fault *fault)
{
    char buf[ADDRESS_TEXT_MAX];
    struct text_out id;

    UNUSED(fault);
    if (c->credential.state != CREDENTIAL_NONE)
        return IDENTITY_PASSES;
    struct address network = address_widen(c->ask->client);
    address_mask(&network, c->source->prefix_v4, c->source->prefix_v6);
    text_out_init(&id, buf, sizeof(buf));
    text_out_add(&id, TEXT("ip:"));
    address_print_host(&network, &id);
    print_prefix(&id, c->source, network.sa.sa_family);
    identity_account(&out->account, text_out_text(&id), c->source->tier);
    out->hides_key = false;
    return IDENTITY_DECIDES;
}
