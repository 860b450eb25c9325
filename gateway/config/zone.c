/* SPDX-License-Identifier: Apache-2.0 */
/* zone.c - time zones by the C library.      Runs on: control thread.
 * The offset is probed once a day, and a change between two probes is found by bisection; no zone has ever changed twice
 * within a day and back. */
#include "config/zone.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_S        INT64_C(86400)
#define BACK_S       (2 * 366 * DAY_S)
#define AHEAD_S      (12 * 366 * DAY_S)
#define OFFSETS_MAX  128 /* 14 years of at most four changes each, and some */
#define ZONE_LEN_MAX 64

static const struct zone_offset utc[] = {{0, 0}};

static bool is_utc(struct text name)
{
    return text_equal(name, TEXT("UTC"));
}

/* Words of letters, digits, '_', '-' and '+' with single slashes between, a capital first: so no way out of the folder,
 * and none of the other files in it. */
static bool is_zone_name(struct text name)
{
    if (name.len == 0 || name.len > ZONE_LEN_MAX || name.ptr[0] < 'A' || name.ptr[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '+';
        bool is_slash = c == '/' && i + 1 < name.len && name.ptr[i + 1] != '/';
        if (!is_word && !is_slash)
            return false;
    }
    return true;
}

/* Every file of a zone begins with this (RFC 9636 3.1). */
static bool is_zone_file(const char *path)
{
    char magic[4];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    ssize_t got = read(fd, magic, sizeof(magic));
    close(fd);
    return got == sizeof(magic) && memcmp(magic, "TZif", sizeof(magic)) == 0;
}

bool zone_exists(struct text name)
{
    char path[PATH_MAX];
    const char *folder = getenv("TZDIR");

    if (is_utc(name))
        return true;
    if (!is_zone_name(name))
        return false;
    int len = snprintf(path, sizeof(path), "%s/%.*s", folder ? folder : "/usr/share/zoneinfo",
                       TEXT_ARG(name));
    return len > 0 && (size_t)len < sizeof(path) && is_zone_file(path);
}

static int32_t offset_at(int64_t at_s)
{
    time_t t = (time_t)at_s;
    struct tm local;

    if (!localtime_r(&t, &local))
        return 0;
    return (int32_t)local.tm_gmtoff;
}

/* The first second with another offset than before_s has, known to be in (before_s, after_s]. */
static int64_t find_change(int64_t before_s, int64_t after_s)
{
    int32_t before = offset_at(before_s);

    while (after_s - before_s > 1) {
        int64_t middle_s = before_s + (after_s - before_s) / 2;
        if (offset_at(middle_s) == before)
            before_s = middle_s;
        else
            after_s = middle_s;
    }
    return after_s;
}

static int probe(int64_t from_s, int64_t to_s, struct zone_offset offsets[OFFSETS_MAX])
{
    int len = 1;

    offsets[0] = (struct zone_offset){from_s, offset_at(from_s)};
    for (int64_t at_s = from_s; at_s < to_s && len < OFFSETS_MAX; at_s += DAY_S) {
        if (offset_at(at_s + DAY_S) == offset_at(at_s))
            continue;
        int64_t change_s = find_change(at_s, at_s + DAY_S);
        offsets[len++] = (struct zone_offset){change_s, offset_at(change_s)};
    }
    return len;
}

static void use_zone(const char *tz)
{
    if (tz)
        setenv("TZ", tz, 1);
    else
        unsetenv("TZ");
    tzset();
}

/* Probes in the zone, with TZ as before afterwards.  Negative: no memory. */
static int probe_in(const char *name, int64_t now_s, struct zone_offset offsets[OFFSETS_MAX])
{
    char tz[ZONE_LEN_MAX + 2];
    const char *before = getenv("TZ");
    char *kept = before ? strdup(before) : NULL;

    if (before && !kept)
        return -1;
    /* The colon says that it is a file's name, and no rule such as EST5EDT. */
    snprintf(tz, sizeof(tz), ":%s", name);
    use_zone(tz);
    int len = probe(now_s - BACK_S, now_s + AHEAD_S, offsets);
    use_zone(kept);
    free(kept);
    return len;
}

enum status zone_build(const char *name, int64_t now_s, struct config_memory *memory,
                       struct zone *out)
{
    if (is_utc(text_of(name))) {
        *out = (struct zone){ARRAY_LEN(utc), utc};
        return ST_OK;
    }
    struct zone_offset offsets[OFFSETS_MAX];
    int len = probe_in(name, now_s, offsets);
    if (len < 0)
        return ST_NOMEM;
    struct zone_offset *kept = memory_take(memory, (size_t)len * sizeof(*kept));
    if (!kept)
        return ST_NOMEM;
    memcpy(kept, offsets, (size_t)len * sizeof(*kept));
    *out = (struct zone){len, kept};
    return ST_OK;
}

/* Owned by the generation. */
struct named_zone {
    struct named_zone *next;
    const char *name;
    struct zone zone;
};

/* Newest first, so that what everybody names is found soon; there are some 600 in all. */
static const struct named_zone *find(const struct config_memory *memory, struct text name)
{
    for (const struct named_zone *z = memory->zones; z; z = z->next)
        if (text_equal(text_of(z->name), name))
            return z;
    return NULL;
}

enum status zone_take(struct text name, int64_t now_s, struct config_memory *memory,
                      const struct zone **out)
{
    const struct named_zone *found = find(memory, name);

    if (!found) {
        struct named_zone *made = memory_take(memory, sizeof(*made));
        if (!made)
            return ST_NOMEM;
        made->name = memory_text(memory, name);
        if (!made->name || zone_build(made->name, now_s, memory, &made->zone))
            return ST_NOMEM;
        made->next = memory->zones;
        memory->zones = made;
        found = made;
    }
    *out = &found->zone;
    return ST_OK;
}
