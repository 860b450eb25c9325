/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "http/slab.h"

#define CROWD 100

static struct slab_pool pool;
static struct slab *slabs[CROWD];

static void take(int count)
{
    for (int i = 0; i < count; i++) {
        slabs[i] = slab_take(&pool);
        cr_assert_not_null(slabs[i]);
        memset(slabs[i]->bytes, i, pool.bytes);
    }
}

static void give(int count)
{
    for (int i = 0; i < count; i++)
        slab_give(&pool, &slabs[i]);
}

Test(slab, memory_of_a_crowd_goes_back)
{
    slab_pool_init(&pool, 5000);
    take(CROWD);
    give(CROWD);
    cr_assert_eq(pool.lent, 0);
    cr_assert_null(slabs[0]);
    cr_assert_eq(pool.free_len, CROWD);
    cr_assert(slab_pool_trim(&pool), "it was just needed");
    cr_assert_eq(pool.free_len, CROWD);
    take(80);
    give(80);
    cr_assert(slab_pool_trim(&pool));
    cr_assert_eq(pool.free_len, 80, "so many are in use at times");
    cr_assert_not(slab_pool_trim(&pool));
    cr_assert_eq(pool.free_len, SLABS_KEPT);
    slab_pool_fini(&pool);
}

Test(slab, compacts)
{
    struct slab *slab;

    slab_pool_init(&pool, 100);
    slab = slab_take(&pool);
    memcpy(slab->bytes, "abcdef", 6);
    slab->len = 6;
    slab->at = 4;
    slab_compact(slab);
    cr_assert_eq(slab->at, 0);
    cr_assert_eq(slab->len, 2);
    cr_assert_arr_eq(slab->bytes, "ef", 2);
    slab_give(&pool, &slab);
    slab_give(&pool, &slab);
    slab_pool_fini(&pool);
}
