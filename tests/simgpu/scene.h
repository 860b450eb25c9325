/* SPDX-License-Identifier: Apache-2.0 */
/* scene.h - a landscape made from a number: sky, sun, and hills in layers.  The same number and size give the same
 * pixels everywhere.  Drawn a row at a time, so that a large picture needs no large memory. */
#pragma once

#include "base/base.h"

#define SCENE_HILLS 4

struct colour {
    uint8_t red, green, blue;
};

struct scene {
    int width, height;
    struct colour sky_top, sky_low, sun, hill_far, hill_near;
    int sun_x, sun_y, sun_radius;
    uint16_t *ridge
        [SCENE_HILLS]; /* owned: the first row of each hill, a number for each column; near ones first */
};

void scene_init(struct scene *scene, uint64_t seed, int width, int height);
/* width * 3 bytes: red, green, blue. */
void scene_row(const struct scene *scene, int y, uint8_t *row);
void scene_fini(struct scene *scene);

/* The number that a prompt stands for; the same in every process. */
uint64_t scene_seed(const char *prompt, size_t len);
