/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/shelf.h"

Test(shelf, objects_come_and_go)
{
    static char *objects[1000];
    struct shelf shelf;

    shelf_init(&shelf, 24);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            objects[i] = shelf_take(&shelf);
            cr_assert_not_null(objects[i]);
            memset(objects[i], (int)i, 24);
        }
        cr_assert_eq(shelf.lent, 1000);
        cr_assert_eq(shelf.len, 0);
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            cr_assert_eq(objects[i][23], (char)i, "no two are one");
            shelf_give(&shelf, objects[i]);
        }
        cr_assert_eq(shelf.lent, 0);
        cr_assert_lt(shelf.len, 1000, "what a crowd needed goes back");
    }
    shelf_give(&shelf, NULL);
    shelf_fini(&shelf);
    cr_assert_eq(shelf.len, 0);
}

Test(shelf, small_objects)
{
    struct shelf shelf;

    shelf_init(&shelf, 1);
    shelf_give(&shelf, shelf_take(&shelf));
    shelf_fini(&shelf);
}
