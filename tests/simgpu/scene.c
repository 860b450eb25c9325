/* SPDX-License-Identifier: Apache-2.0 */
/* scene.c - see scene.h. */
#include "simgpu/scene.h"

#include <stdlib.h>

/* splitmix64: each call gives the next number of the sequence. */
static uint64_t draw(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int draw_between(uint64_t *state, int low, int high)
{
    return low + (int)(draw(state) % (uint64_t)(high - low + 1));
}

static struct colour draw_colour(uint64_t *state, int low, int high)
{
    struct colour c;

    c.red = (uint8_t)draw_between(state, low, high);
    c.green = (uint8_t)draw_between(state, low, high);
    c.blue = (uint8_t)draw_between(state, low, high);
    return c;
}

static uint8_t mix(int from, int to, int part, int whole)
{
    return (uint8_t)(from + (to - from) * part / whole);
}

static struct colour blend(struct colour from, struct colour to, int part, int whole)
{
    return (struct colour){mix(from.red, to.red, part, whole),
                           mix(from.green, to.green, part, whole),
                           mix(from.blue, to.blue, part, whole)};
}

/* Adds to each column the height of a smooth random wave, of cells of that many columns. */
static void add_wave(uint64_t *state, int *heights, int width, int cell, int amplitude)
{
    int from = draw_between(state, 0, amplitude);
    int to = draw_between(state, 0, amplitude);

    for (int x = 0; x < width; x++) {
        int part = x % cell;

        if (part == 0 && x > 0) {
            from = to;
            to = draw_between(state, 0, amplitude);
        }
        /* 3t^2 - 2t^3, in 1024ths: no corner where two cells meet. */
        int64_t t = (int64_t)part * 1024 / cell;
        int64_t smooth = t * t * (3 * 1024 - 2 * t) / (1024 * 1024);
        heights[x] += from + (int)((to - from) * smooth / 1024);
    }
}

static uint16_t *make_ridge(uint64_t *state, const struct scene *scene, int hill)
{
    int *heights = calloc((size_t)scene->width, sizeof(*heights));
    uint16_t *ridge = calloc((size_t)scene->width, sizeof(*ridge));
    int base = scene->height * (90 - hill * 12) / 100;
    int amplitude = scene->height * (8 + hill * 3) / 100;

    ASSERT(heights != NULL && ridge != NULL);
    add_wave(state, heights, scene->width, MAX(scene->width / (2 + hill), 1), amplitude);
    add_wave(state, heights, scene->width, MAX(scene->width / (9 + 4 * hill), 1), amplitude / 4);
    for (int x = 0; x < scene->width; x++)
        ridge[x] = (uint16_t)MAX(base - heights[x], 0);
    free(heights);
    return ridge;
}

void scene_init(struct scene *scene, uint64_t seed, int width, int height)
{
    uint64_t state = seed;

    *scene = (struct scene){.width = width, .height = height};
    scene->sky_top = draw_colour(&state, 20, 120);
    scene->sky_low = draw_colour(&state, 150, 250);
    scene->sun = draw_colour(&state, 220, 255);
    scene->hill_far = draw_colour(&state, 90, 170);
    scene->hill_near = draw_colour(&state, 10, 70);
    scene->sun_radius = MAX(draw_between(&state, height / 16, height / 8), 1);
    scene->sun_x = draw_between(&state, width / 6, width * 5 / 6);
    scene->sun_y = draw_between(&state, height / 8, height / 2);
    for (int hill = 0; hill < SCENE_HILLS; hill++)
        scene->ridge[hill] = make_ridge(&state, scene, hill);
}

static struct colour sky_at(const struct scene *scene, int x, int y, struct colour plain)
{
    int64_t dx = x - scene->sun_x;
    int64_t dy = y - scene->sun_y;
    int64_t near = (int64_t)scene->sun_radius * scene->sun_radius;
    int64_t away = dx * dx + dy * dy;

    if (away <= near)
        return scene->sun;
    if (away < near * 4) /* a halo that fades */
        return blend(scene->sun, plain, 60 + (int)(40 * (away - near) / (near * 3)), 100);
    return plain;
}

void scene_row(const struct scene *scene, int y, uint8_t *row)
{
    struct colour sky = blend(scene->sky_top, scene->sky_low, y, scene->height);
    struct colour hills[SCENE_HILLS];

    for (int hill = 0; hill < SCENE_HILLS; hill++)
        hills[hill] =
            blend(scene->hill_near, scene->hill_far,
                  hill * 1000 + 900 * (scene->height - y) / scene->height, SCENE_HILLS * 1000);
    for (int x = 0; x < scene->width; x++, row += 3) {
        int hill = 0;

        while (hill < SCENE_HILLS && y < scene->ridge[hill][x])
            hill++;
        struct colour c = hill < SCENE_HILLS ? hills[hill] : sky_at(scene, x, y, sky);
        row[0] = c.red;
        row[1] = c.green;
        row[2] = c.blue;
    }
}

void scene_fini(struct scene *scene)
{
    for (int hill = 0; hill < SCENE_HILLS; hill++)
        free(scene->ridge[hill]);
}

uint64_t scene_seed(const char *prompt, size_t len)
{
    /* FNV-1a */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)prompt[i]) * UINT64_C(0x100000001b3);
    return hash;
}
