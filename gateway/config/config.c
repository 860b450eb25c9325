/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - the main file, and the life of a generation.      Runs on: control thread; the last unref on any. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/backends.h"
#include "config/identity.h"
#include "config/keys.h"
#include "config/listen.h"
#include "config/option.h"
#include "config/parse.h"
#include "config/pass.h"
#include "config/policies.h"
#include "config/url.h"

#define STORE_DEFAULT TEXT("embedded:///var/lib/meltguard")

static enum status read_store(struct reader *r, const struct key *key, const struct node *node,
                              void *object)
{
    struct config *config = object;
    const char *why = NULL;

    UNUSED(key);
    enum status st = url_store(node->text, r->memory, &why, &config->store);
    if (st == ST_NOMEM)
        return reader_no_memory(r);
    return st ? reader_fail(r, node, "%s", why) : ST_OK;
}

static enum status read_policies(struct reader *r, const struct key *key, const struct node *node,
                                 void *object)
{
    struct config *config = object;

    UNUSED(key);
    if (node->text.len == 0)
        return ST_INVALID;
    const char *file = reader_beside(r, node);
    return file ? policies_read(r, file, node, &config->policy) : reader_no_memory(r);
}

static enum status read_proxies(struct reader *r, const struct key *key, const struct node *list,
                                void *object)
{
    struct config *config = object;

    UNUSED(key);
    return prefixes_read(r, list, config->trusted_proxies, &config->trusted_proxies_len);
}

/* Read in this order: identity needs the policy's tiers, and the store's URL. */
static const struct key top_keys[] = {
    {"listen", NODE_LIST, KEY_REQUIRED, listen_read, 0, 0, 0,
     "a list such as [{address: 127.0.0.1:8080}]"},
    {"admin", NODE_MAPPING, 0, listen_read_admin, 0, 0, 0, "{address: 127.0.0.1:9901}"},
    {"quota_store", NODE_SCALAR, KEY_SECRET, read_store, 0, 0, 0,
     "embedded:///folder, redis://[user:password@]host[:port][/db], redis+unix:///path, "
     "redis+sentinel://host,.../master or redis+cluster://host,..."},
    {"policies", NODE_SCALAR, KEY_REQUIRED, read_policies, 0, 0, 0, "the name of a policy file"},
    {"identity", NODE_LIST, KEY_REQUIRED, identity_read, 0, 0, 0,
     "a list of sources: keyfile, keystore, header, bearer, address"},
    {"backends", NODE_LIST, KEY_REQUIRED, backends_read, 0, 0, 0, "a list of {name, url, dialect}"},
    {"pass", NODE_LIST, 0, pass_read, 0, 0, 0, "a list of rules such as [\"GET /v1/models\"]"},
    {"trusted_proxies", NODE_LIST, 0, read_proxies, 0, 0, 0, "a list of networks"},
};

/* More than both tables have. */
#define TOP_NAMES_MAX 64

static enum status unknown_top_key(struct reader *r, const struct node *key)
{
    struct text names[TOP_NAMES_MAX];
    int len = 0;

    for (size_t i = 0; i < ARRAY_LEN(top_keys); i++)
        names[len++] = text_of(top_keys[i].name);
    len += option_keys(names + len, TOP_NAMES_MAX - len);
    return key_unknown(r, key, names, len);
}

static enum status read_top(struct reader *r, const struct node *root, struct config *config)
{
    if (root->kind != NODE_MAPPING)
        return reader_fail(r, root,
                           "not a mapping, expected one with the keys listen, backends, ...");
    for (const struct node *value = root->first; value; value = value->next) {
        struct text name = value->key->text;
        if (!key_find(top_keys, ARRAY_LEN(top_keys), name) && !option_takes(name))
            return unknown_top_key(r, value->key);
    }
    enum status st = option_read_all(r, root, config);
    return st ? st : keys_read_known(r, root, top_keys, ARRAY_LEN(top_keys), config);
}

/* --- the life of a generation --- */

static struct config *new_config(const char *file)
{
    static int generations;
    const char *why;
    struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    atomic_init(&config->refs, 1);
    config->generation = ++generations;
    config->memory = config_memory_new();
    if (config->memory)
        config->file = memory_text(config->memory, text_of(file));
    if (!config->file || url_store(STORE_DEFAULT, config->memory, &why, &config->store)) {
        config_unref(&config);
        return NULL;
    }
    option_set_defaults(config);
    return config;
}

/* document: NULL to read the file. */
static enum status load(const char *file, const struct text *document, struct reader *r,
                        struct config *config)
{
    const struct node *root;
    enum status st = document ? parse_text(r, file, *document, &root)
                              : parse_file(r, file, PARSE_BYTES_MAX, NULL, &root);

    return st ? st : read_top(r, root, config);
}

static enum status load_new(const char *file, const struct text *document,
                            const struct config_known *known, int64_t now_s,
                            char error[CONFIG_ERROR_MAX], struct config **out)
{
    struct config *config = new_config(file);

    if (!config) {
        snprintf(error, CONFIG_ERROR_MAX, "no memory for the configuration");
        return ST_NOMEM;
    }
    struct reader r;
    reader_init(&r, config->memory, known, now_s, error);
    enum status st = load(file, document, &r, config);
    reader_fini(&r);
    if (st)
        config_unref(&config);
    else
        *out = config;
    return st;
}

enum status config_load(const char *file, const struct config_known *known, int64_t now_s,
                        char error[CONFIG_ERROR_MAX], struct config **out)
{
    return load_new(file, NULL, known, now_s, error, out);
}

enum status config_load_text(const char *file, struct text document,
                             const struct config_known *known, int64_t now_s,
                             char error[CONFIG_ERROR_MAX], struct config **out)
{
    return load_new(file, &document, known, now_s, error, out);
}

struct config *config_ref(struct config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config **config)
{
    struct config *gone = *config;

    *config = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) > 1)
        return;
    config_memory_free(&gone->memory);
    free(gone);
}
