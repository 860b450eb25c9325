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

static void put(struct top_sketch *sketch, int at, struct top_place place)
{
    sketch->heap[at] = place;
    sketch->places[place.entry] = (uint16_t)at;
}

static void rise(struct top_sketch *sketch, int at, struct top_place place)
{
    while (at > 0) {
        int parent = (at - 1) / 2;

        if (sketch->heap[parent].images <= place.images)
            break;
        put(sketch, at, sketch->heap[parent]);
        at = parent;
    }
    put(sketch, at, place);
}

static void sink(struct top_sketch *sketch, int at, struct top_place place)
{
    for (;;) {
        int child = 2 * at + 1;

        if (child + 1 < sketch->len && sketch->heap[child + 1].images < sketch->heap[child].images)
            child++;
        if (child >= sketch->len || sketch->heap[child].images >= place.images)
            break;
        put(sketch, at, sketch->heap[child]);
        at = child;
    }
    put(sketch, at, place);
}

/* --- the sketch --------------------------------------------------------------------------------------------------------- */

static void begin_day(struct top_sketch *sketch, int64_t day)
{
    sketch->day = day;
    for (int i = 0; i < sketch->len; i++) {
        sketch->heap[i].images = 0;
        sketch->entries[i].error = 0;
    }
}

static void name(struct top_sketch *sketch, int entry, const struct account *account)
{
    sketch->entries[entry].account = *account;
    map_insert(&sketch->by_digest, &sketch->entries[entry].node);
}

static int take_new(struct top_sketch *sketch, const struct account *account)
{
    int entry = sketch->len++;

    sketch->entries[entry] = (struct top_entry){.images = 0};
    name(sketch, entry, account);
    rise(sketch, entry, (struct top_place){.entry = entry});
    return entry;
}

static int take_least(struct top_sketch *sketch, const struct account *account)
{
    int entry = sketch->heap[0].entry;

    map_remove(&sketch->by_digest, &sketch->entries[entry].node);
    sketch->entries[entry].error = sketch->heap[0].images;
    name(sketch, entry, account);
    return entry;
}

/* -1: there is none, and who was only seen displaces nobody. */
static int entry_for(struct top_sketch *sketch, const struct account *account, int64_t images)
{
    struct map_node *node = map_find(&sketch->by_digest, digest_text(account));

    if (node) {
        struct top_entry *entry = container_of(node, struct top_entry, node);

        entry->account = *account;
        return (int)(entry - sketch->entries);
    }
    if (sketch->len < TOP_LEN)
        return take_new(sketch, account);
    return images > 0 ? take_least(sketch, account) : -1;
}

enum status top_sketch_init(struct top_sketch *sketch)
{
    *sketch = (struct top_sketch){
        .entries = calloc(TOP_LEN, sizeof(*sketch->entries)),
        .heap = calloc(TOP_LEN, sizeof(*sketch->heap)),
        .places = calloc(TOP_LEN, sizeof(*sketch->places)),
    };
    if (sketch->entries && sketch->heap && sketch->places && !map_init(&sketch->by_digest, key_of))
        return ST_OK;
    top_sketch_fini(sketch);
    return ST_NOMEM;
}

void top_sketch_fini(struct top_sketch *sketch)
{
    map_fini(&sketch->by_digest);
    free(sketch->entries);
    free(sketch->heap);
    free(sketch->places);
    *sketch = (struct top_sketch){.len = 0};
}

void top_sketch_add(struct top_sketch *sketch, const struct account *account, int generation,
                    int64_t images, int64_t day)
{
    if (day > sketch->day)
        begin_day(sketch, day);
    int entry = entry_for(sketch, account, images);

    if (entry < 0)
        return;
    int at = sketch->places[entry];
    struct top_place place = sketch->heap[at];

    place.images += images;
    sketch->entries[entry].generation = generation;
    sink(sketch, at, place);
}

struct top_entry top_sketch_entry(const struct top_sketch *sketch, int i)
{
    struct top_entry entry = sketch->entries[i];

    entry.images = sketch->heap[sketch->places[i]].images;
    return entry;
}

int64_t top_sketch_least(const struct top_sketch *sketch, int64_t day)
{
    return sketch->len == TOP_LEN && sketch->day == day ? sketch->heap[0].images : 0;
}
