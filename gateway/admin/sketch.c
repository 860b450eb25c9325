/* SPDX-License-Identifier: Apache-2.0 */
/* sketch.c - Space-Saving over accounts.      Runs on: worker.
 * A heap gives the least counter, a hash table finds an account's: a charge costs one look-up and a few moves.  Where
 * there are more accounts than counters, nearly every charge takes a name out and puts one in. */
#include <stdlib.h>
#include <string.h>

#include "admin/top.h"
#include "base/map.h"

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

/* --- the table: linear probing; what is taken out leaves no hole (Knuth, volume 3, 6.4, algorithm R) ------------------------ */

/* Of some bits of a digest a collision is soon found; but not of these. */
static uint32_t hash_of(const struct account *account)
{
    struct text digest = {(const char *)account->digest.bytes, sizeof(account->digest.bytes)};

    return (uint32_t)map_hash(digest);
}

static uint32_t home_of(uint32_t hash)
{
    return hash % TOP_SLOTS;
}

static uint32_t slot_after(uint32_t slot)
{
    return (slot + 1) % TOP_SLOTS;
}

static void put_in_slot(struct top_sketch *sketch, uint32_t slot, struct top_slot content)
{
    sketch->slots[slot] = content;
    sketch->slot_of[content.entry] = (uint16_t)slot;
}

/* -1: it has none. */
static int find(const struct top_sketch *sketch, const struct account *account, uint32_t hash)
{
    for (uint32_t at = home_of(hash); sketch->slots[at].is_taken; at = slot_after(at)) {
        struct top_slot slot = sketch->slots[at];

        if (slot.hash == hash && memcmp(&sketch->entries[slot.entry].account.digest,
                                        &account->digest, sizeof(account->digest)) == 0)
            return slot.entry;
    }
    return -1;
}

static void add_slot(struct top_sketch *sketch, uint32_t hash, int entry)
{
    uint32_t at = home_of(hash);

    while (sketch->slots[at].is_taken)
        at = slot_after(at);
    put_in_slot(sketch, at, (struct top_slot){hash, (uint16_t)entry, true});
}

static void remove_slot(struct top_sketch *sketch, int entry)
{
    uint32_t hole = sketch->slot_of[entry];

    for (uint32_t at = slot_after(hole); sketch->slots[at].is_taken; at = slot_after(at)) {
        uint32_t from_home = (at - home_of(sketch->slots[at].hash)) % TOP_SLOTS;
        uint32_t from_hole = (at - hole) % TOP_SLOTS;

        if (from_home < from_hole)
            continue;
        put_in_slot(sketch, hole, sketch->slots[at]);
        hole = at;
    }
    sketch->slots[hole].is_taken = false;
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

static void name(struct top_sketch *sketch, int entry, const struct account *account, uint32_t hash)
{
    sketch->entries[entry].account = *account;
    add_slot(sketch, hash, entry);
}

static int take_new(struct top_sketch *sketch, const struct account *account, uint32_t hash)
{
    int entry = sketch->len++;

    sketch->entries[entry] = (struct top_entry){.images = 0};
    name(sketch, entry, account, hash);
    rise(sketch, entry, (struct top_place){.entry = entry});
    return entry;
}

static int take_least(struct top_sketch *sketch, const struct account *account, uint32_t hash)
{
    int entry = sketch->heap[0].entry;

    remove_slot(sketch, entry);
    sketch->entries[entry].error = sketch->heap[0].images;
    name(sketch, entry, account, hash);
    return entry;
}

/* -1: there is none, and who was only seen displaces nobody. */
static int entry_for(struct top_sketch *sketch, const struct account *account, int64_t images)
{
    uint32_t hash = hash_of(account);
    int entry = find(sketch, account, hash);

    if (entry >= 0) {
        sketch->entries[entry].account = *account;
        return entry;
    }
    if (sketch->len < TOP_LEN)
        return take_new(sketch, account, hash);
    return images > 0 ? take_least(sketch, account, hash) : -1;
}

enum status top_sketch_init(struct top_sketch *sketch)
{
    *sketch = (struct top_sketch){
        .entries = calloc(TOP_LEN, sizeof(*sketch->entries)),
        .heap = calloc(TOP_LEN, sizeof(*sketch->heap)),
        .places = calloc(TOP_LEN, sizeof(*sketch->places)),
        .slot_of = calloc(TOP_LEN, sizeof(*sketch->slot_of)),
        .slots = calloc(TOP_SLOTS, sizeof(*sketch->slots)),
    };
    if (sketch->entries && sketch->heap && sketch->places && sketch->slot_of && sketch->slots)
        return ST_OK;
    top_sketch_fini(sketch);
    return ST_NOMEM;
}

void top_sketch_fini(struct top_sketch *sketch)
{
    free(sketch->entries);
    free(sketch->heap);
    free(sketch->places);
    free(sketch->slot_of);
    free(sketch->slots);
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
