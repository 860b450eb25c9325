/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - the gateway's own addresses.      Runs on: control thread. */
#include "config/listen.h"

#include <string.h>

#include "config/admin_conf.h"

struct listen_entry {
    struct address address;
};

/* Names need a resolver and may have several addresses; this one has not, and everybody writes it. */
enum status listen_read_address(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct text t = node->text;
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    UNUSED(r);
    text_out_init(&out, buf, sizeof(buf));
    if (text_starts_with(t, TEXT("localhost:"))) {
        text_out_add(&out, TEXT("127.0.0.1"));
        t.ptr += strlen("localhost");
        t.len -= strlen("localhost");
    }
    text_out_add(&out, t);
    if (out.is_full)
        return ST_INVALID;
    return address_parse(text_out_text(&out), key_field(key, object));
}

static const struct key listen_keys[] = {
    {"address", NODE_SCALAR, KEY_REQUIRED, listen_read_address,
     offsetof(struct listen_entry, address), 0, 0,
     "address:port such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:80"},
};

bool listen_is_same(const struct address *a, const struct address *b)
{
    char a_buf[ADDRESS_TEXT_MAX], b_buf[ADDRESS_TEXT_MAX];
    struct text_out a_out, b_out;

    text_out_init(&a_out, a_buf, sizeof(a_buf));
    text_out_init(&b_out, b_buf, sizeof(b_buf));
    address_print(a, &a_out);
    address_print(b, &b_out);
    return text_equal(text_out_text(&a_out), text_out_text(&b_out));
}

/* Port 0 asks for any free port, so it may come more than once. */
static bool has_any_port(const struct address *address)
{
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    address_print(address, &out);
    return out.len >= 2 && memcmp(buf + out.len - 2, ":0", 2) == 0;
}

enum status listen_check_new(struct reader *r, const struct node *node, const struct config *config,
                             const struct address *address)
{
    for (int i = 0; i < config->listen_len; i++)
        if (listen_is_same(&config->listen[i], address) && !has_any_port(address))
            return reader_fail(r, node, "an address for the second time, expected another one");
    return ST_OK;
}

static enum status read_listener(struct reader *r, const struct node *node,
                                 const struct config *config, struct address *out)
{
    struct listen_entry entry;
    enum status st = keys_read(r, node, listen_keys, ARRAY_LEN(listen_keys), &entry);

    if (!st)
        st = listen_check_new(r, node, config, &entry.address);
    if (!st)
        *out = entry.address;
    return st;
}

enum status listen_read(struct reader *r, const struct key *key, const struct node *list,
                        void *object)
{
    struct config *config = object;

    UNUSED(key);
    if (list->len < 1 || list->len > LISTEN_MAX)
        return reader_fail(r, list, "%d addresses to listen at, expected 1 to %d", list->len,
                           LISTEN_MAX);
    for (const struct node *item = list->first; item; item = item->next) {
        enum status st = read_listener(r, item, config, &config->listen[config->listen_len]);
        if (st)
            return st;
        config->listen_len++;
    }
    return ST_OK;
}

enum status listen_read_admin(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    UNUSED(key);
    return admin_conf_read(r, node, object);
}
