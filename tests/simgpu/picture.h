/* SPDX-License-Identifier: Apache-2.0 */
/* picture.h - a scene as a PNG file, of about a wanted size, and the last few of them in base64. */
#pragma once

#include "simgpu/buffer.h"

#define PICTURE_SIDE_MAX 4096
#define PICTURES_KEPT    16

struct picture {
    uint64_t seed;
    int width, height;
    int64_t bytes; /* wanted size of the file, about; 0: as it comes */
};

/* Appends the file to out. */
void picture_png(const struct picture *picture, struct buffer *out);

/* A small memory of pictures. */
struct pictures {
    struct {
        struct picture picture;
        struct buffer base64;
    } kept[PICTURES_KEPT];
    int next; /* the one to be replaced */
};

/* The file in base64; lent until PICTURES_KEPT others were asked for. */
struct text pictures_base64(struct pictures *pictures, const struct picture *picture);
void pictures_fini(struct pictures *pictures);
