/* SPDX-License-Identifier: Apache-2.0 */
/* sketch.c - Space-Saving over accounts.      Runs on: worker.
 * A heap gives the least counter, a map finds an account's: a charge costs one look-up and a few moves. */
#include <stdlib.h>

#include "admin/top.h"

static struct text key_of(const struct map_node *node)
{
    const struct top_entry *entry = container_of(node, const struct top_entry, node);

    return (struct text){(const char *)entry->account.digest.bytes,
                         sizeof(entry->account.digest.bytes)};
}

static struct text digest_text(const struct account *account)
{
    return (struct text){(const char *)account->digest.bytes, sizeof(account->digest.bytes)};
}

/* --- the heap ----------------------------------------------------------------------------------------------------------- */

static void put(struct top_sketch *sketch, int place, struct top_entry *entry)
{
    sketch->heap[place] = entry;
    entry->place = place;
}

static void rise(struct top_sketch *sketch, struct top_entry *entry)
{
    int place = entry->place;

    while (place > 0) {
        int parent = (place - 1) / 2;

        if (sketch->heap[parent]->images <= entry->images)
            break;
        put(sketch, place, sketch->heap[parent]);
        place = parent;
    }
    put(sketch, place, entry);
}

static void sink(struct top_sketch *sketch, struct top_entry *entry)
{
    int place = entry->place;

    for (;;) {
        int child = 2 * place + 1;

        if (child + 1 < sketch->len &&
            sketch->heap[child + 1]->images < sketch->heap[child]->images)
            child++;
        if (child >= sketch->len || sketch->heap[child]->images >= entry->images)
            break;
        put(sketch, place, sketch->heap[child]);
        place = child;
    }
    put(sketch, place, entry);
}

/* --- the sketch --------------------------------------------------------------------------------------------------------- */

static void begin_day(struct top_sketch *sketch, int64_t day)
{
    sketch->day = day;
    for (int i = 0; i < sketch->len; i++) {
        sketch->entries[i].images = 0;
        sketch->entries[i].error = 0;
    }
}

static struct top_entry *take_new(struct top_sketch *sketch, const struct account *account)
{
    struct top_entry *entry = &sketch->entries[sketch->len];

    *entry = (struct top_entry){.account = *account, .place = sketch->len};
    sketch->len++;
    map_insert(&sketch->by_digest, &entry->node);
    rise(sketch, entry);
    return entry;
}

static struct top_entry *take_least(struct top_sketch *sketch, const struct account *account)
{
    struct top_entry *entry = sketch->heap[0];

    map_remove(&sketch->by_digest, &entry->node);
    entry->account = *account;
    entry->error = entry->images;
    map_insert(&sketch->by_digest, &entry->node);
    return entry;
}

enum status top_sketch_init(struct top_sketch *sketch)
{
    *sketch = (struct top_sketch){.len = 0};
    sketch->entries = calloc(TOP_LEN, sizeof(*sketch->entries));
    sketch->heap = calloc(TOP_LEN, sizeof(struct top_entry *));
    if (!sketch->entries || !sketch->heap || map_init(&sketch->by_digest, key_of)) {
        free(sketch->entries);
        free(sketch->heap);
        *sketch = (struct top_sketch){.len = 0};
        return ST_NOMEM;
    }
    return ST_OK;
}

void top_sketch_fini(struct top_sketch *sketch)
{
    if (sketch->entries)
        map_fini(&sketch->by_digest);
    free(sketch->entries);
    free(sketch->heap);
    *sketch = (struct top_sketch){.len = 0};
}

void top_sketch_add(struct top_sketch *sketch, const struct account *account, int generation,
                    int64_t images, int64_t day)
{
    struct map_node *node = map_find(&sketch->by_digest, digest_text(account));
    struct top_entry *entry = node ? container_of(node, struct top_entry, node) : NULL;

    if (day > sketch->day)
        begin_day(sketch, day);
    if (!entry && sketch->len < TOP_LEN)
        entry = take_new(sketch, account);
    if (!entry && images == 0)
        return;
    if (!entry)
        entry = take_least(sketch, account);
    entry->account = *account;
    entry->generation = generation;
    entry->images += images;
    sink(sketch, entry);
}

int64_t top_sketch_least(const struct top_sketch *sketch, int64_t day)
{
    return sketch->len == TOP_LEN && sketch->day == day ? sketch->heap[0]->images : 0;
}
