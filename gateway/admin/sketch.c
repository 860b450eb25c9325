/* SPDX-License-Identifier: Apache-2.0 */
/* sketch.c - Space-Saving over accounts.      Runs on: worker.
 * A hash table finds an account's counter, a list of buckets the least one: a charge costs one look-up and a few moves.
 * Where there are more accounts than counters, nearly every charge takes a name out and puts one in. */
#include <stdlib.h>
#include <string.h>

#include "admin/top.h"
#include "base/map.h"

/* --- the buckets --------------------------------------------------------------------------------------------------------- */

#define ENDS     0 /* the bucket before the least and behind the most */
#define NO_ENTRY UINT16_MAX

static void tie(struct top_sketch *sketch, uint16_t fewer, uint16_t more)
{
    sketch->buckets[fewer].more = more;
    sketch->buckets[more].fewer = fewer;
}

static void empty_buckets(struct top_sketch *sketch)
{
    tie(sketch, ENDS, ENDS);
    sketch->spare = ENDS + 1;
    for (uint16_t i = ENDS + 1; i < TOP_BUCKETS; i++)
        sketch->buckets[i].more = (uint16_t)(i + 1);
}

static uint16_t bucket_new(struct top_sketch *sketch, uint16_t fewer, int64_t images)
{
    uint16_t bucket = sketch->spare;

    sketch->spare = sketch->buckets[bucket].more;
    tie(sketch, bucket, sketch->buckets[fewer].more);
    tie(sketch, fewer, bucket);
    sketch->buckets[bucket].images = images;
    sketch->buckets[bucket].first = NO_ENTRY;
    return bucket;
}

static void bucket_free(struct top_sketch *sketch, uint16_t bucket)
{
    tie(sketch, sketch->buckets[bucket].fewer, sketch->buckets[bucket].more);
    sketch->buckets[bucket].more = sketch->spare;
    sketch->spare = bucket;
}

/* The one for so many images, looked for from one that has fewer. */
static uint16_t bucket_for(struct top_sketch *sketch, uint16_t fewer, int64_t images)
{
    uint16_t more = sketch->buckets[fewer].more;

    while (more != ENDS && sketch->buckets[more].images < images) {
        fewer = more;
        more = sketch->buckets[more].more;
    }
    if (more != ENDS && sketch->buckets[more].images == images)
        return more;
    return bucket_new(sketch, fewer, images);
}

static void join(struct top_sketch *sketch, uint16_t bucket, uint16_t entry)
{
    struct top_link *links = sketch->links;
    uint16_t first = sketch->buckets[bucket].first;

    if (first == NO_ENTRY) {
        links[entry] = (struct top_link){bucket, entry, entry};
        sketch->buckets[bucket].first = entry;
        return;
    }
    links[entry] = (struct top_link){bucket, links[first].previous, first};
    links[links[first].previous].next = entry;
    links[first].previous = entry;
}

/* With no images yet. */
static void enter(struct top_sketch *sketch, uint16_t entry)
{
    join(sketch, bucket_for(sketch, ENDS, 0), entry);
}

static void leave(struct top_sketch *sketch, uint16_t entry)
{
    struct top_link *links = sketch->links;
    struct top_link old = links[entry];

    if (old.next == entry) {
        bucket_free(sketch, old.bucket);
        return;
    }
    links[old.previous].next = old.next;
    links[old.next].previous = old.previous;
    if (sketch->buckets[old.bucket].first == entry)
        sketch->buckets[old.bucket].first = old.next;
}

static int64_t images_of(const struct top_sketch *sketch, int entry)
{
    return sketch->buckets[sketch->links[entry].bucket].images;
}

static void charge(struct top_sketch *sketch, uint16_t entry, int64_t images)
{
    uint16_t bucket =
        bucket_for(sketch, sketch->links[entry].bucket, images_of(sketch, entry) + images);

    leave(sketch, entry);
    join(sketch, bucket, entry);
}

/* Of a sketch that is not empty. */
static const struct top_bucket *least_of(const struct top_sketch *sketch)
{
    return &sketch->buckets[sketch->buckets[ENDS].more];
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
    empty_buckets(sketch);
    for (int i = 0; i < sketch->len; i++) {
        enter(sketch, (uint16_t)i);
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
    enter(sketch, (uint16_t)entry);
    return entry;
}

static int take_least(struct top_sketch *sketch, const struct account *account, uint32_t hash)
{
    int entry = least_of(sketch)->first;

    remove_slot(sketch, entry);
    sketch->entries[entry].error = least_of(sketch)->images;
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
        .buckets = calloc(TOP_BUCKETS, sizeof(*sketch->buckets)),
        .links = calloc(TOP_LEN, sizeof(*sketch->links)),
        .slot_of = calloc(TOP_LEN, sizeof(*sketch->slot_of)),
        .slots = calloc(TOP_SLOTS, sizeof(*sketch->slots)),
    };
    if (!sketch->entries || !sketch->buckets || !sketch->links || !sketch->slot_of ||
        !sketch->slots) {
        top_sketch_fini(sketch);
        return ST_NOMEM;
    }
    empty_buckets(sketch);
    return ST_OK;
}

void top_sketch_fini(struct top_sketch *sketch)
{
    free(sketch->entries);
    free(sketch->buckets);
    free(sketch->links);
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
    sketch->entries[entry].generation = generation;
    if (images > 0)
        charge(sketch, (uint16_t)entry, images);
}

struct top_entry top_sketch_entry(const struct top_sketch *sketch, int i)
{
    struct top_entry entry = sketch->entries[i];

    entry.images = images_of(sketch, i);
    return entry;
}

int64_t top_sketch_least(const struct top_sketch *sketch, int64_t day)
{
    return sketch->len == TOP_LEN && sketch->day == day ? least_of(sketch)->images : 0;
}
