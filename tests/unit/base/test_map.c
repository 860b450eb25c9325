/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "base/map.h"

#define ENTRIES 1000

struct entry {
    struct map_node node;
    char key[8];
    int seen;
};

static struct entry entries[ENTRIES];

static struct text entry_key(const struct map_node *node)
{
    return text_of(((const struct entry *)node)->key);
}

static void fill(struct map *map)
{
    cr_assert_eq(map_init(map, entry_key), ST_OK);
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(entries[i].key, sizeof(entries[i].key), "k%d", i);
        map_insert(map, &entries[i].node);
    }
}

Test(map, finds_what_is_in_it_and_nothing_else)
{
    struct map map;

    fill(&map);
    cr_assert_eq(map.len, ENTRIES);
    for (int i = 0; i < ENTRIES; i++)
        cr_assert_eq(map_find(&map, text_of(entries[i].key)), &entries[i].node);
    cr_assert_null(map_find(&map, TEXT("k1000")));
    cr_assert_null(map_find(&map, TEXT_NONE));
    map_remove(&map, &entries[7].node);
    cr_assert_null(map_find(&map, TEXT("k7")));
    cr_assert_eq(map.len, ENTRIES - 1);
    map_fini(&map);
}

Test(map, walks_all_while_removing)
{
    struct map map;
    size_t cursor = 0;
    int count = 0;

    fill(&map);
    struct map_node *node = map_next(&map, &cursor, NULL);

    while (node) {
        struct map_node *next = map_next(&map, &cursor, node);
        struct entry *entry = container_of(node, struct entry, node);

        cr_assert_eq(entry->seen++, 0);
        if (count++ % 2 == 0)
            map_remove(&map, node);
        node = next;
    }
    cr_assert_eq(count, ENTRIES);
    cr_assert_eq(map.len, ENTRIES / 2);
    map_fini(&map);
}

Test(map, empty)
{
    struct map map;
    size_t cursor = 0;

    cr_assert_eq(map_init(&map, entry_key), ST_OK);
    cr_assert_null(map_next(&map, &cursor, NULL));
    cr_assert_null(map_find(&map, TEXT("x")));
    map_fini(&map);
}

Test(map, hash_is_stable_in_a_process)
{
    cr_assert_eq(map_hash(TEXT("abc")), map_hash(TEXT("abc")));
    cr_assert_neq(map_hash(TEXT("abc")), map_hash(TEXT("abd")));
}
