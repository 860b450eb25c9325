/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conf.c - the mapping `admin`.      Runs on: control thread.
 * A token never stands in an error, whether it came from the mapping or from a file. */
#include "config/admin_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/listen.h"

/* Short ones can be guessed; RFC 6750 sets no bound, so this one is ours. */
#define TOKEN_MIN 16
#define TOKEN_MAX 1024

static enum status read_socket(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct config *config = object;
    char buf[ADDRESS_TEXT_MAX];
    struct text_out out;

    UNUSED(r);
    UNUSED(key);
    text_out_init(&out, buf, sizeof(buf));
    text_out_add(&out, TEXT("unix:"));
    text_out_add(&out, node->text);
    if (out.is_full || !text_starts_with(node->text, TEXT("/")))
        return ST_INVALID;
    config->has_admin_socket = true;
    return address_parse(text_out_text(&out), &config->admin_socket);
}

/* token68 of RFC 9110 11.2 is what can stand in Authorization. */
static bool is_token(struct text t)
{
    static const char others[] = "-._~+/=";

    if (t.len < TOKEN_MIN || t.len > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!is_plain && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return true;
}

static enum status keep_token(struct reader *r, const struct node *node, struct text token,
                              struct config *config)
{
    if (config->admin_token)
        return reader_fail(r, node, "'token' and 'token_file', expected one of them");
    if (!is_token(token))
        return ST_INVALID;
    config->admin_token = memory_text(r->memory, token);
    return config->admin_token ? ST_OK : reader_no_memory(r);
}

static enum status read_token(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    UNUSED(key);
    return keep_token(r, node, node->text, object);
}

/* The whole of a small file, less the line end that editors and echo leave behind. */
static enum status read_token_file(struct reader *r, const struct key *key, const struct node *node,
                                   void *object)
{
    const char *file = node->text.len ? reader_beside(r, node) : NULL;
    char buf[TOKEN_MAX + 3];
    ssize_t len;
    int fd;

    UNUSED(key);
    if (!node->text.len)
        return ST_INVALID;
    if (!file)
        return reader_no_memory(r);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return reader_fail(r, node, "cannot read %s: %s", file, strerror(errno));
    len = read(fd, buf, sizeof(buf));
    close(fd);
    if (len < 0)
        return reader_fail(r, node, "cannot read %s: %s", file, strerror(errno));
    while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == '\r'))
        len--;
    enum status st = keep_token(r, node, (struct text){buf, (size_t)len}, object);
    if (st == ST_INVALID && !*r->error)
        return reader_fail(r, node,
                           "no token in %s, expected one line of %d to %d letters and digits", file,
                           TOKEN_MIN, TOKEN_MAX);
    return st;
}

static const struct key admin_keys[] = {
    {"address", NODE_SCALAR, 0, listen_read_address, offsetof(struct config, admin), 0, 0,
     "address:port such as 127.0.0.1:9901"},
    {"socket", NODE_SCALAR, 0, read_socket, 0, 0, 0,
     "the path of a Unix socket such as /run/meltguard/admin.sock"},
    {"token", NODE_SCALAR, KEY_SECRET, read_token, 0, 0, 0,
     "16 to 1024 letters, digits and -._~+/="},
    {"token_file", NODE_SCALAR, 0, read_token_file, 0, 0, 0, "the name of a file with a token"},
};

enum status admin_conf_read(struct reader *r, const struct node *mapping, struct config *config)
{
    enum status st = keys_read(r, mapping, admin_keys, ARRAY_LEN(admin_keys), config);

    if (st)
        return st;
    config->has_admin = node_find(mapping, TEXT("address")) != NULL;
    if (!config->has_admin && !config->has_admin_socket)
        return reader_fail(r, mapping, "no place to listen at, expected 'address' or 'socket'");
    if (config->has_admin)
        return listen_check_new(r, mapping, config, &config->admin);
    return ST_OK;
}
