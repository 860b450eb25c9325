/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/arena.h"

Test(arena, aligns_and_separates)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    static unsigned char *memory[200];

    for (size_t i = 0; i < ARRAY_LEN(memory); i++) {
        memory[i] = arena_alloc(&arena, i * 7);
        cr_assert_not_null(memory[i]);
        cr_assert_eq((uintptr_t)memory[i] % 16, 0);
        memset(memory[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < ARRAY_LEN(memory); i++) {
        for (size_t at = 0; at < i * 7; at++)
            cr_assert_eq(memory[i][at], i);
    }
    arena_fini(&arena);
    cr_assert_eq(arena.total_bytes, 0);
}

Test(arena, large_ones_leave_the_newest_block_in_use)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    char *first = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, 100000);

    memset(large, 0, 100000);
    cr_assert_eq(arena_alloc(&arena, 16), first + 16);
    arena_fini(&arena);
    large = arena_alloc(&arena, 100000);
    cr_assert_not_null(large);
    cr_assert_not_null(arena_alloc(&arena, 16));
    arena_fini(&arena);
}

Test(arena, refuses_more_than_its_limit)
{
    struct arena arena;

    arena_init(&arena, 100);
    cr_assert_null(arena_alloc(&arena, 101));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX));
    cr_assert_not_null(arena_alloc(&arena, 64));
    cr_assert_null(arena_alloc(&arena, 64));
    cr_assert_leq(arena.total_bytes, 100);
    cr_assert_eq(arena_copy(&arena, (struct text){"", SIZE_MAX}).len, 0);
    arena_fini(&arena);
}

Test(arena, copies_end_with_nul)
{
    struct arena arena;

    arena_init(&arena, 4096);
    struct text copy = arena_copy(&arena, TEXT("prompt"));

    cr_assert_eq(copy.len, 6);
    cr_assert_str_eq(copy.ptr, "prompt");
    copy = arena_copy(&arena, TEXT_NONE);
    cr_assert_str_eq(copy.ptr, "", "empty is not none");
    arena_fini(&arena);
}

Test(arena, borrows_blocks_from_a_shelf)
{
    struct shelf shelf;
    struct arena arena;

    shelf_init(&shelf, 512);
    arena_init_from(&arena, 1 << 20, &shelf);
    for (int i = 0; i < 20; i++) {
        char *memory = arena_alloc(&arena, 112);

        cr_assert_not_null(memory);
        memset(memory, i, 112);
    }
    cr_assert_eq(shelf.lent, 5, "four to a block");
    cr_assert_not_null(arena_alloc(&arena, 512 - 16));
    cr_assert_eq(shelf.lent, 6, "as large as a block is a block");
    cr_assert_not_null(arena_alloc(&arena, 5000));
    cr_assert_eq(shelf.lent, 6, "a large one has its own");
    arena_fini(&arena);
    cr_assert_eq(shelf.lent, 0);
    shelf_fini(&shelf);
}
