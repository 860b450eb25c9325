/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - files of keys.      Runs on: control thread.
 * The keys themselves are in no file, so none can be printed; what stands where a digest should be might be one. */
#include "config/accounts.h"

#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/parse.h"
#include "config/value.h"
#include "config/zone.h"

/* What a row reads into.  The place is for saying where a double stands. */
struct entry {
    struct key_entry key;
    const struct policy *policy;
    const struct node *node;
};

struct keyfile {
    const struct policy *policy;
    int len;
    struct entry *entries;
};

static enum status read_sha256(struct reader *r, const struct key *key, const struct node *node,
                               void *object)
{
    struct entry *entry = object;

    UNUSED(r);
    UNUSED(key);
    if (node->text.len != 2 * sizeof(entry->key.sha256))
        return ST_INVALID;
    return text_unhex(node->text, entry->key.sha256, sizeof(entry->key.sha256));
}

/* An id goes into logs and keys of stores as it is. */
static enum status read_account(struct reader *r, const struct key *key, const struct node *node,
                                void *object)
{
    struct entry *entry = object;

    UNUSED(key);
    if (node->text.len > ACCOUNT_ID_MAX || !value_is_visible(node->text))
        return ST_INVALID;
    entry->key.account = memory_text(r->memory, node->text);
    return entry->key.account ? ST_OK : reader_no_memory(r);
}

static enum status read_tier(struct reader *r, const struct key *key, const struct node *node,
                             void *object)
{
    struct entry *entry = object;

    UNUSED(r);
    UNUSED(key);
    entry->key.tier = policy_tier(entry->policy, node->text);
    return entry->key.tier < 0 ? ST_INVALID : ST_OK;
}

static enum status read_team(struct reader *r, const struct key *key, const struct node *node,
                             void *object)
{
    struct entry *entry = object;

    UNUSED(r);
    UNUSED(key);
    entry->key.team = policy_team(entry->policy, node->text);
    return entry->key.team < 0 ? ST_INVALID : ST_OK;
}

static enum status read_timezone(struct reader *r, const struct key *key, const struct node *node,
                                 void *object)
{
    struct entry *entry = object;

    UNUSED(key);
    if (!zone_exists(node->text))
        return ST_INVALID;
    enum status st = zone_take(node->text, r->now_s, r->memory, &entry->key.zone);
    return st ? reader_no_memory(r) : ST_OK;
}

static const struct key entry_keys[] = {
    {"sha256", NODE_SCALAR, KEY_REQUIRED | KEY_SECRET, read_sha256, 0, 0, 0,
     "64 hex digits: the SHA-256 of the key"},
    {"account", NODE_SCALAR, KEY_REQUIRED, read_account, 0, 0, 0,
     "an account's id: 1 to 128 visible ASCII characters"},
    {"tier", NODE_SCALAR, KEY_REQUIRED, read_tier, 0, 0, 0, "the name of a tier of the policy"},
    {"team", NODE_SCALAR, 0, read_team, 0, 0, 0, "the name of a team of the policy"},
    {"timezone", NODE_SCALAR, 0, read_timezone, 0, 0, 0,
     "a zone of the tz database (package tzdata) such as Europe/Berlin, or UTC"},
};

static enum status read_list(struct reader *r, const struct key *key, const struct node *list,
                             void *object)
{
    struct keyfile *file = object;

    UNUSED(key);
    file->entries = arena_alloc(&r->scratch, (size_t)MAX(list->len, 1) * sizeof(*file->entries));
    if (!file->entries)
        return reader_no_memory(r);
    for (const struct node *item = list->first; item; item = item->next) {
        struct entry *entry = &file->entries[file->len++];
        *entry = (struct entry){.key = {.team = -1}, .policy = file->policy, .node = item};
        enum status st = keys_read(r, item, entry_keys, ARRAY_LEN(entry_keys), entry);
        if (st)
            return st;
    }
    return ST_OK;
}

static const struct key file_keys[] = {
    {"keys", NODE_LIST, KEY_REQUIRED, read_list, 0, 0, 0,
     "a list of {sha256, account, tier, team, timezone}"},
};

static int by_place(const struct entry *a, const struct entry *b)
{
    if (a->node->line != b->node->line)
        return a->node->line - b->node->line;
    return a->node->column - b->node->column;
}

/* By digest; of equals the one first in the file first. */
static int by_digest(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = memcmp(a->key.sha256, b->key.sha256, sizeof(a->key.sha256));

    return order ? order : by_place(a, b);
}

/* By account, likewise. */
static int by_account(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = strcmp(a->key.account, b->key.account);

    return order ? order : by_place(a, b);
}

static void sort(struct keyfile *file, int (*compare)(const void *, const void *))
{
    qsort(file->entries, (size_t)file->len, sizeof(*file->entries), compare);
}

/* Two keys of one account in two teams or two time zones would have two rows to charge, and twice the quota. */
static enum status check_accounts(struct reader *r, const struct keyfile *file)
{
    for (int i = 1; i < file->len; i++) {
        const struct entry *before = &file->entries[i - 1];
        const struct entry *entry = &file->entries[i];
        if (strcmp(before->key.account, entry->key.account) != 0)
            continue;
        if (before->key.team != entry->key.team)
            return reader_fail(r, entry->node,
                               "account '%s' in another team than in line %d, expected one team",
                               entry->key.account, before->node->line);
        if (before->key.zone != entry->key.zone)
            return reader_fail(
                r, entry->node,
                "account '%s' in another time zone than in line %d, expected one time zone",
                entry->key.account, before->node->line);
    }
    return ST_OK;
}

static enum status check_doubles(struct reader *r, const struct keyfile *file)
{
    for (int i = 1; i < file->len; i++) {
        const struct entry *before = &file->entries[i - 1];
        const struct entry *entry = &file->entries[i];
        if (memcmp(before->key.sha256, entry->key.sha256, sizeof(entry->key.sha256)) == 0)
            return reader_fail(r, entry->node, "the key of line %d again, expected each key once",
                               before->node->line);
    }
    return ST_OK;
}

static enum status keep(struct reader *r, const struct keyfile *file,
                        struct identity_source *source)
{
    source->keys_len = file->len;
    source->keys = memory_take(r->memory, (size_t)MAX(file->len, 1) * sizeof(*source->keys));
    if (!source->keys)
        return reader_no_memory(r);
    for (int i = 0; i < file->len; i++)
        source->keys[i] = file->entries[i].key;
    return ST_OK;
}

enum status accounts_read(struct reader *r, const struct node *node, const struct policy *policy,
                          struct identity_source *source)
{
    struct keyfile file = {.policy = policy};
    const struct node *root;

    source->keyfile = reader_beside(r, node);
    if (!source->keyfile)
        return reader_no_memory(r);
    enum status st = parse_file(r, source->keyfile, KEYFILE_BYTES_MAX, node, &root);
    if (!st)
        st = keys_read(r, root, file_keys, ARRAY_LEN(file_keys), &file);
    if (st)
        return st;
    sort(&file, by_account);
    st = check_accounts(r, &file);
    sort(&file, by_digest);
    if (!st)
        st = check_doubles(r, &file);
    return st ? st : keep(r, &file, source);
}
