/* SPDX-License-Identifier: Apache-2.0 */
/* picture.c - see picture.h.  libpng writes into a buffer; what is short of the wanted size is filled up by a private
 * ancillary chunk, which decoders skip (PNG specification, 5.4). */
#include "simgpu/picture.h"

#include <openssl/evp.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "simgpu/scene.h"

/* Bytes of a chunk beside its content: length, type, CRC. */
#define CHUNK_FRAME 12

/* How much of the scene is kept, so that a small file is possible. */
enum detail { DETAIL_FULL, DETAIL_COARSE, DETAIL_FLAT, DETAILS };

static void on_write(png_structp png, png_bytep bytes, png_size_t len)
{
    buffer_add(png_get_io_ptr(png), (struct text){(const char *)bytes, len});
}

static void on_flush(png_structp png)
{
    UNUSED(png);
}

/* Fewer colours make long runs. */
static void coarsen(uint8_t *row, int bytes)
{
    for (int i = 0; i < bytes; i++)
        row[i] &= 0xc0;
}

static void write_scene(png_structp png, const struct picture *picture, enum detail detail)
{
    struct scene scene;
    uint8_t *row = malloc((size_t)picture->width * 3);

    ASSERT(row != NULL);
    scene_init(&scene, picture->seed, picture->width, picture->height);
    for (int y = 0; y < picture->height; y++) {
        scene_row(&scene, y, row);
        if (detail == DETAIL_COARSE)
            coarsen(row, picture->width * 3);
        png_write_row(png, row);
    }
    scene_fini(&scene);
    free(row);
}

static void write_flat(png_structp png, const struct picture *picture)
{
    uint8_t row[PICTURE_SIDE_MAX / 8 + 1];

    memset(row, picture->seed & 1 ? 0xff : 0, sizeof(row));
    for (int y = 0; y < picture->height; y++)
        png_write_row(png, row);
}

static void write_padding(png_structp png, const struct picture *picture, int64_t len)
{
    static const png_byte name[5] = "siMp";
    uint8_t *bytes = malloc((size_t)len);
    uint64_t state = picture->seed | 1;

    ASSERT(bytes != NULL);
    for (int64_t i = 0; i < len; i++) {
        state ^= state << 13; /* xorshift: nothing on the way can make it small again */
        state ^= state >> 7;
        state ^= state << 17;
        bytes[i] = (uint8_t)state;
    }
    png_write_chunk(png, name, bytes, (size_t)len);
    free(bytes);
}

static void write_png(const struct picture *picture, enum detail detail, struct buffer *out)
{
    size_t begin = out->len;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop facts = png ? png_create_info_struct(png) : NULL;

    ASSERT(facts != NULL);
    /* Nothing that is written here can fail but for want of memory. */
    if (setjmp(png_jmpbuf(png)))
        abort();
    png_set_write_fn(png, out, on_write, on_flush);
    png_set_IHDR(png, facts, (png_uint_32)picture->width, (png_uint_32)picture->height,
                 detail == DETAIL_FLAT ? 1 : 8,
                 detail == DETAIL_FLAT ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, detail == DETAIL_FULL ? 1 : 9);
    png_set_filter(png, PNG_FILTER_TYPE_BASE,
                   detail == DETAIL_FLAT ? PNG_FILTER_NONE : PNG_FILTER_UP);
    png_write_info(png, facts);
    if (detail == DETAIL_FLAT)
        write_flat(png, picture);
    else
        write_scene(png, picture, detail);
    /* With the last row all pixels are out; IEND, an empty chunk, is still to come. */
    int64_t missing = picture->bytes - (int64_t)(out->len - begin) - 2 * CHUNK_FRAME;
    if (missing > 0)
        write_padding(png, picture, missing);
    png_write_end(png, facts);
    png_destroy_write_struct(&png, &facts);
}

void picture_png(const struct picture *picture, struct buffer *out)
{
    size_t begin = out->len;

    for (enum detail detail = DETAIL_FULL; detail < DETAILS; detail++) {
        out->len = begin;
        write_png(picture, detail, out);
        if (picture->bytes == 0 || (int64_t)(out->len - begin) <= picture->bytes)
            return;
    }
}

static bool is_same(const struct picture *a, const struct picture *b)
{
    return a->seed == b->seed && a->width == b->width && a->height == b->height &&
           a->bytes == b->bytes;
}

struct text pictures_base64(struct pictures *pictures, const struct picture *picture)
{
    for (int i = 0; i < PICTURES_KEPT; i++) {
        if (is_same(&pictures->kept[i].picture, picture))
            return buffer_text(&pictures->kept[i].base64);
    }
    struct buffer file = {0};
    struct buffer *base64 = &pictures->kept[pictures->next].base64;

    picture_png(picture, &file);
    buffer_clear(base64, SIZE_MAX);
    char *place = buffer_reserve(base64, file.len / 3 * 4 + 5);
    base64->len =
        (size_t)EVP_EncodeBlock((unsigned char *)place, (unsigned char *)file.bytes, (int)file.len);
    buffer_clear(&file, 0);
    pictures->kept[pictures->next].picture = *picture;
    pictures->next = (pictures->next + 1) % PICTURES_KEPT;
    return buffer_text(base64);
}

void pictures_fini(struct pictures *pictures)
{
    for (int i = 0; i < PICTURES_KEPT; i++)
        buffer_clear(&pictures->kept[i].base64, 0);
}
