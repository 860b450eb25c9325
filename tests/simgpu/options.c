/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - see options.h. */
#include "simgpu/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX       1000
#define IMAGE_BYTES_MAX 67108864
#define UNSET           (-1.0)

static const char help[] =
    "simgpu - an OpenAI-compatible image backend with a simulated GPU\n"
    "  --listen HOST:PORT       address to listen on; port 0 takes a free one (127.0.0.1:9001)\n"
    "  --dialect openai         what it speaks; this one only, so far\n"
    "  --slots N                images at work at once (1)\n"
    "  --seconds-per-image S    work for one image; 0 answers at once (0.5)\n"
    "  --ambient C              temperature of the room (35)\n"
    "  --heat C                 what one image warms the GPU by (4; 0 where images take no time)\n"
    "  --cooling SECONDS        time constant of cooling down (20)\n"
    "  --image-bytes N          size of each PNG, about; with --seconds-per-image 0 the answer is\n"
    "                           made once, for benchmarks (as it comes)\n"
    "  --name NAME              host name in metrics (simgpu)\n"
    "  --uuid UUID              of the GPU, in metrics (made from the port)\n"
    "  --model NAME             listed in /v1/models (sim-image-1)\n"
    "  --help                   this text\n"
    "Paths: POST /v1/images/generations, GET /v1/models /health /metrics, GET and POST /sim\n";

enum option_id {
    OPT_LISTEN = 256,
    OPT_DIALECT,
    OPT_SLOTS,
    OPT_SECONDS,
    OPT_AMBIENT,
    OPT_HEAT,
    OPT_COOLING,
    OPT_IMAGE_BYTES,
    OPT_NAME,
    OPT_UUID,
    OPT_MODEL,
    OPT_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"dialect", required_argument, NULL, OPT_DIALECT},
    {"slots", required_argument, NULL, OPT_SLOTS},
    {"seconds-per-image", required_argument, NULL, OPT_SECONDS},
    {"ambient", required_argument, NULL, OPT_AMBIENT},
    {"heat", required_argument, NULL, OPT_HEAT},
    {"cooling", required_argument, NULL, OPT_COOLING},
    {"image-bytes", required_argument, NULL, OPT_IMAGE_BYTES},
    {"name", required_argument, NULL, OPT_NAME},
    {"uuid", required_argument, NULL, OPT_UUID},
    {"model", required_argument, NULL, OPT_MODEL},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool to_number(const char *word, double low, double high, double *out)
{
    char *end;
    double value = strtod(word, &end);

    if (end == word || *end != '\0' || !(value >= low && value <= high))
        return false;
    *out = value;
    return true;
}

static bool to_count(const char *word, int64_t low, int64_t high, int64_t *out)
{
    uint64_t value;

    if (text_to_u64(text_of(word), &value) || value < (uint64_t)low || value > (uint64_t)high)
        return false;
    *out = (int64_t)value;
    return true;
}

static bool take_text(struct sim_options *o, int id, const char *word)
{
    const char **place = id == OPT_NAME ? &o->name : id == OPT_UUID ? &o->uuid : &o->model;

    /* These words stand in metrics and JSON as they are. */
    if (strpbrk(word, "\"\\\n") != NULL || strlen(word) > 100)
        return false;
    *place = word;
    return true;
}

static bool take(struct sim_options *o, int id, const char *word)
{
    int64_t slots;

    switch (id) {
    case OPT_LISTEN:
        return address_parse(text_of(word), &o->listen) == ST_OK;
    case OPT_DIALECT:
        return strcmp(word, "openai") == 0;
    case OPT_SLOTS:
        if (!to_count(word, 1, SLOTS_MAX, &slots))
            return false;
        o->slots = (int)slots;
        return true;
    case OPT_SECONDS:
        return to_number(word, 0, 3600, &o->seconds_per_image);
    case OPT_AMBIENT:
        return to_number(word, -50, 100, &o->ambient_c);
    case OPT_HEAT:
        return to_number(word, 0, 100, &o->heat_c);
    case OPT_COOLING:
        return to_number(word, 0.001, 86400, &o->cooling_s);
    case OPT_IMAGE_BYTES:
        return to_count(word, 1, IMAGE_BYTES_MAX, &o->image_bytes);
    default:
        return take_text(o, id, word);
    }
}

enum status options_parse(int argc, char **argv, struct sim_options *out)
{
    struct sim_options o = {.slots = 1,
                            .seconds_per_image = 0.5,
                            .ambient_c = 35,
                            .heat_c = UNSET,
                            .cooling_s = 20,
                            .name = "simgpu",
                            .model = "sim-image-1"};
    int index = 0;

    if (address_parse(TEXT("127.0.0.1:9001"), &o.listen))
        return ST_INVALID;
    for (int id = getopt_long(argc, argv, "", long_options, &index); id != -1;
         id = getopt_long(argc, argv, "", long_options, &index)) {
        if (id == OPT_HELP) {
            fputs(help, stdout);
            return ST_CLOSED;
        }
        if (id == '?')
            return ST_INVALID;
        if (!take(&o, id, optarg)) {
            fprintf(stderr, "simgpu: --%s: bad value '%s'; see --help\n", long_options[index].name,
                    optarg);
            return ST_INVALID;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "simgpu: '%s' is not understood; see --help\n", argv[optind]);
        return ST_INVALID;
    }
    if (o.heat_c == UNSET)
        o.heat_c = o.seconds_per_image > 0 ? 4 : 0;
    *out = o;
    return ST_OK;
}
