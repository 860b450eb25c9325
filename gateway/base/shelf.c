/* SPDX-License-Identifier: Apache-2.0 */
/* shelf.c - a free list, bounded so that the memory of a crowd goes back when the crowd does. */
#include "base/shelf.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEPT_MAX 0
#else
#define KEPT_MAX 256
#endif

struct shelved {
    struct shelved *next;
};

void shelf_init(struct shelf *shelf, size_t bytes)
{
    *shelf = (struct shelf){.bytes = MAX(bytes, sizeof(struct shelved))};
}

void shelf_fini(struct shelf *shelf)
{
    while (shelf->first) {
        struct shelved *object = shelf->first;

        shelf->first = object->next;
        free(object);
    }
    shelf->len = 0;
}

void *shelf_take(struct shelf *shelf)
{
    struct shelved *object = shelf->first;

    if (object) {
        shelf->first = object->next;
        shelf->len--;
        /* Given back long ago, it is far from the cache when it is asked for. */
        __builtin_prefetch(shelf->first, 1);
    } else {
        object = malloc(shelf->bytes);
    }
    shelf->lent += object != NULL;
    return object;
}

void shelf_give(struct shelf *shelf, void *object)
{
    struct shelved *kept = object;

    if (!kept)
        return;
    shelf->lent--;
    if (shelf->len >= KEPT_MAX) {
        free(kept);
        return;
    }
    kept->next = shelf->first;
    shelf->first = kept;
    shelf->len++;
}
