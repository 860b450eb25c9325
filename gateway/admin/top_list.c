/* SPDX-License-Identifier: Apache-2.0 */
/* top_list.c - lists of who was charged most, made one.      Runs on: control thread.  Pure. */
#include <stdlib.h>
#include <string.h>

#include "admin/top.h"

void top_list_free(struct top_list *list)
{
    free(list->entries);
    *list = (struct top_list){.len = 0};
}

static int by_digest(const void *left, const void *right)
{
    const struct top_entry *a = left;
    const struct top_entry *b = right;

    return memcmp(a->account.digest.bytes, b->account.digest.bytes,
                  sizeof(a->account.digest.bytes));
}

static int by_images(const void *left, const void *right)
{
    const struct top_entry *a = left;
    const struct top_entry *b = right;

    if (a->images != b->images)
        return a->images < b->images ? 1 : -1;
    return strcmp(a->account.id, b->account.id);
}

/* Adds up runs of equal digests; what the account is, the latest generation knows best.  Returns how many remain. */
static int add_up(struct top_entry *entries, int len)
{
    int made = 0;

    for (int i = 0; i < len; i++) {
        struct top_entry *into = made > 0 ? &entries[made - 1] : NULL;

        if (!into || by_digest(into, &entries[i]) != 0) {
            entries[made++] = entries[i];
            continue;
        }
        into->images += entries[i].images;
        into->error += entries[i].error;
        if (entries[i].generation > into->generation) {
            into->generation = entries[i].generation;
            into->account = entries[i].account;
        }
    }
    return made;
}

/* All entries in one array, each less what its list may hide.  The sum of that is added to every account afterwards: so a
 * list that has the account counts as it says, and one that lacks it by what it may hide. */
static struct top_entry *gather(const struct top_list *lists, int lists_len, int *out_len)
{
    size_t size = 1;
    struct top_entry *all;

    for (int i = 0; i < lists_len; i++)
        size += (size_t)lists[i].len;
    all = calloc(size, sizeof(*all));
    if (!all)
        return NULL;
    *out_len = 0;
    for (int i = 0; i < lists_len; i++) {
        for (int j = 0; j < lists[i].len; j++) {
            struct top_entry *entry = &all[(*out_len)++];

            *entry = lists[i].entries[j];
            entry->images -= lists[i].least;
            entry->error -= lists[i].least;
        }
    }
    return all;
}

enum status top_list_merge(const struct top_list *lists, int lists_len, int limit,
                           struct top_list *out)
{
    int len;
    int64_t least = 0;
    struct top_entry *all = gather(lists, lists_len, &len);

    if (!all)
        return ST_NOMEM;
    for (int i = 0; i < lists_len; i++)
        least += lists[i].least;
    qsort(all, (size_t)len, sizeof(*all), by_digest);
    len = add_up(all, len);
    for (int i = 0; i < len; i++) {
        all[i].images += least;
        all[i].error += least;
    }
    qsort(all, (size_t)len, sizeof(*all), by_images);
    if (len > limit)
        least = MAX(least, all[limit].images);
    *out = (struct top_list){MIN(len, limit), all, least};
    return ST_OK;
}
