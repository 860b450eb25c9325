/* SPDX-License-Identifier: Apache-2.0 */
/* shelf.h - objects of one size that are put away and taken again: what comes and goes with every request costs no
 * allocation.  One thread's.  Under a sanitizer nothing is kept, so that whoever uses what was given back is found. */
#pragma once

#include "base/base.h"

struct shelf {
    struct shelved *first; /* owned */
    size_t bytes;          /* of each */
    int len;               /* that lie here */
    int lent;              /* taken and not given back */
};

void shelf_init(struct shelf *shelf, size_t bytes);
void shelf_fini(struct shelf *shelf); /* what is lent stays so */
/* Not cleared.  NULL: no memory. */
void *shelf_take(struct shelf *shelf);
void shelf_give(struct shelf *shelf, void *object); /* harmless for NULL */
