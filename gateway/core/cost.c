/* SPDX-License-Identifier: Apache-2.0 */
/* cost.c - the price list: the first row that fits. */

#include "core/cost.h"

bool cost_name_fits(const char *pattern, struct text name)
{
    struct text p = text_of(pattern);

    if (p.len > 0 && p.ptr[p.len - 1] == '*')
        return text_starts_with(name, (struct text){p.ptr, p.len - 1});
    return text_equal(name, p);
}

/* A size that is not known, or beyond them all, counts as the largest: who asks in a way that cannot be read gains
 * nothing by it. */
static int class_of(const struct price_list *prices, int64_t pixels)
{
    for (int i = 0; i < prices->classes_len; i++)
        if (pixels > 0 && pixels <= prices->classes[i].pixels_max)
            return i;
    return prices->classes_len - 1;
}

static bool price_fits(const struct price *price, const struct job *job, int size_class)
{
    if (price->model && !cost_name_fits(price->model, job->model))
        return false;
    if (price->quality && !text_equal(text_of(price->quality), job->quality))
        return false;
    if (price->size_class >= 0 && price->size_class != size_class)
        return false;
    return price->steps_max == 0 || (job->steps > 0 && job->steps <= price->steps_max);
}

int64_t cost_image_units(const struct price_list *prices, const struct job *job)
{
    if (job->operation == OPERATION_PASS)
        return 0;
    int size_class = class_of(prices, job->pixels);

    for (int i = 0; i < prices->len; i++)
        if (price_fits(&prices->prices[i], job, size_class))
            return prices->prices[i].units;
    return UNITS_PER_IMAGE;
}

static bool fits_all(const struct price *price)
{
    return !price->model && !price->quality && price->size_class < 0 && price->steps_max == 0;
}

int64_t cost_least_units(const struct price_list *prices)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < prices->len; i++) {
        least = MIN(least, prices->prices[i].units);
        if (fits_all(&prices->prices[i]))
            return least;
    }
    return MIN(least, UNITS_PER_IMAGE);
}
