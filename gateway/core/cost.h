/* SPDX-License-Identifier: Apache-2.0 */
/* cost.h - what an image costs, in units.  1 image or credit = UNITS_PER_IMAGE units: exact in thousandths. */
#pragma once

#include "core/job.h"

#define UNITS_PER_IMAGE  INT64_C(1000)
#define SIZE_CLASSES_MAX 8

/* Sizes by their number of pixels: the first class that holds the image's; an unknown size is in the last. */
struct size_class {
    const char *name;
    int64_t pixels_max;
};

/* One row of a price list; a field that is not set fits all. */
struct price {
    const char *model;   /* the name, or a beginning and "*"; NULL: any */
    const char *quality; /* NULL: any */
    int size_class;      /* -1: any */
    int64_t
        steps_max; /* 0: any; else the row fits jobs with at most so many steps; unknown steps fit only 0 */
    int64_t units; /* an image, >= 0 */
};

/* The first row that fits decides; with none, an image costs one credit. */
struct price_list {
    int classes_len;
    struct size_class classes[SIZE_CLASSES_MAX]; /* ascending by pixels_max */
    int len;
    const struct price *prices; /* owned by the config generation */
};

/* Units of one image of this job in credits. */
int64_t cost_image_units(const struct price_list *prices, const struct job *job);
/* The least that an image may cost, of whatever job. */
int64_t cost_least_units(const struct price_list *prices);
/* Does a name fit a pattern: the name itself, or a beginning and "*"?  ASCII case counts. */
bool cost_name_fits(const char *pattern, struct text name);
