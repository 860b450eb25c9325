/* SPDX-License-Identifier: Apache-2.0 */
/* denied.c - open addressing over a fixed table.      Runs on: worker.
 * All entries of a subject lie in the few places that its digest chooses, so that they can be forgotten together. */

#include "quota/denied.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACES        8
#define FINAL_US      INT64_C(60000000)
#define COMES_BACK_US INT64_C(1000000)

struct entry {
    struct account_digest subject;
    uint64_t limit;   /* hash of the rule and the window */
    int64_t until_us; /* 0: free */
    int64_t used_units;
    int64_t granted_units;
    int64_t reset_us;
    int64_t asked_units; /* that were refused */
};

_Static_assert(sizeof(struct entry) == 64, "one line of the cache");

struct denied {
    size_t mask;
    bool is_empty;
    struct denied_counts counts;
    struct entry entries[];
};

/* What of a limit decides, beside its subject. */
static uint64_t limit_hash(const struct limit *limit)
{
    const struct limit_rule *rule = &limit->rule;
    const int64_t facts[] = {
        rule->kind,      rule->measure,     rule->units,
        rule->period_us, rule->burst_units, limit->window.ordinal,
    };

    return XXH3_64bits(facts, sizeof(facts));
}

/* The i-th place of the subject.  The last bytes of a digest choose neither bucket nor field, but are as random. */
static struct entry *place(struct denied *denied, const struct account_digest *subject, size_t i)
{
    uint64_t hash;

    memcpy(&hash, subject->bytes + sizeof(subject->bytes) - sizeof(hash), sizeof(hash));
    return &denied->entries[(hash + i) & denied->mask];
}

static bool is_of(const struct entry *entry, const struct account_digest *subject)
{
    return entry->until_us != 0 && memcmp(&entry->subject, subject, sizeof(*subject)) == 0;
}

struct denied *denied_new(size_t entries)
{
    struct denied *denied = calloc(1, sizeof(*denied) + entries * sizeof(struct entry));

    ASSERT(entries >= PLACES && (entries & (entries - 1)) == 0);
    if (!denied)
        return NULL;
    denied->mask = entries - 1;
    denied->is_empty = true;
    return denied;
}

void denied_free(struct denied **denied)
{
    free(*denied);
    *denied = NULL;
}

static int64_t life_us(const struct reserved_limit *l, int64_t in_hand_images, int64_t now_us)
{
    enum limit_kind kind = l->limit.rule.kind;

    if (in_hand_images > 0 || kind == LIMIT_IN_FLIGHT)
        return 0;
    return MIN(limit_is_calendar(kind) ? FINAL_US : COMES_BACK_US, l->reset_us - now_us);
}

/* The same limit's, else a free one or one that has ended, else the one that ends first. */
static struct entry *place_for(struct denied *denied, const struct account_digest *subject,
                               uint64_t limit, int64_t now_us)
{
    struct entry *best = place(denied, subject, 0);

    for (size_t i = 0; i < PLACES; i++) {
        struct entry *entry = place(denied, subject, i);

        if (is_of(entry, subject) && entry->limit == limit)
            return entry;
        if (entry->until_us < best->until_us)
            best = entry;
    }
    denied->counts.evicted += best->until_us > now_us;
    return best;
}

void denied_note(struct denied *denied, const struct reservation *r, int64_t in_hand_images,
                 int64_t now_us)
{
    const struct reserved_limit *l = &r->limits[r->refused_by];
    int64_t life = life_us(l, in_hand_images, now_us);
    uint64_t limit = limit_hash(&l->limit);

    if (life <= 0)
        return;
    *place_for(denied, &l->limit.subject, limit, now_us) = (struct entry){
        .subject = l->limit.subject,
        .limit = limit,
        .until_us = now_us + life,
        .used_units = l->used_units,
        .granted_units = l->granted_units,
        .reset_us = l->reset_us,
        .asked_units = r->held_images * l->limit.image_units,
    };
    denied->is_empty = false;
    denied->counts.noted++;
}

/* Would these units, too, have been refused? */
static bool refuses(const struct entry *entry, const struct limit *limit, int64_t units)
{
    if (limit->rule.kind == LIMIT_RATE)
        return units >= entry->asked_units;
    return entry->used_units + units > limit->rule.units + entry->granted_units;
}

static const struct entry *find(struct denied *denied, const struct limit *limit, int64_t units,
                                int64_t now_us)
{
    uint64_t hash = limit_hash(limit);

    for (size_t i = 0; i < PLACES; i++) {
        const struct entry *entry = place(denied, &limit->subject, i);

        if (is_of(entry, &limit->subject) && entry->limit == hash && entry->until_us > now_us)
            return refuses(entry, limit, units) ? entry : NULL;
    }
    return NULL;
}

static void tell(struct reservation *r, int refused_by, const struct entry *entry)
{
    struct reserved_limit *l = &r->limits[refused_by];

    for (int i = 0; i < r->limits_len; i++)
        r->limits[i].used_units = -1;
    r->refused_by = refused_by;
    l->used_units = entry->used_units;
    l->granted_units = entry->granted_units;
    l->reset_us = entry->reset_us;
}

int denied_find(struct denied *denied, struct reservation *r, int64_t now_us)
{
    for (int i = 0; i < r->limits_len && !denied->is_empty; i++) {
        const struct limit *limit = &r->limits[i].limit;
        const struct entry *entry;

        if (limit->rule.is_dry_run)
            continue;
        entry = find(denied, limit, r->held_images * limit->image_units, now_us);
        if (!entry)
            continue;
        tell(r, i, entry);
        denied->counts.hits++;
        return i;
    }
    return -1;
}

void denied_forget(struct denied *denied, const struct account_digest *subject)
{
    for (size_t i = 0; i < PLACES && !denied->is_empty; i++) {
        struct entry *entry = place(denied, subject, i);

        if (is_of(entry, subject))
            entry->until_us = 0;
    }
}

void denied_clear(struct denied *denied)
{
    if (!denied->is_empty)
        memset(denied->entries, 0, (denied->mask + 1) * sizeof(struct entry));
    denied->is_empty = true;
}

bool denied_is_empty(const struct denied *denied)
{
    return denied->is_empty;
}

size_t denied_bytes(const struct denied *denied)
{
    return sizeof(*denied) + (denied->mask + 1) * sizeof(struct entry);
}

struct denied_counts denied_counts(const struct denied *denied)
{
    return denied->counts;
}
