/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.c - a folder of configuration files for one test. */
#include "unit/config/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

char fixture_error[CONFIG_ERROR_MAX];

static const char *const dialects[] = {"openai", "generic", NULL};
const struct config_known fixture_known = {dialects};

static char folder[64];
static struct config_memory *memory; /* of policies */

static const char policy[] =
    "timezone: Asia/Seoul\n"
    "tiers:\n"
    "  free:  {images: {per_day: 3},   priority: 0, max_images_per_request: 1, max_wait: 0s}\n"
    "  plus:  {images: {per_day: 200}, priority: 1, max_images_per_request: 4, max_wait: 30s}\n"
    "  staff: {images: unlimited,      priority: 2}\n"
    "  anonymous: {images: {per_day: 1}}\n";

static const char accounts[] =
    "keys:\n"
    "  - {sha256: 2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90, "
    "account: alice, tier: plus}\n";

void fixture_open(void)
{
    strcpy(folder, "/tmp/meltguard-config-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    memory = config_memory_new();
    cr_assert_not_null(memory);
    fixture_write("policy.yaml", policy);
    fixture_write("accounts.yaml", accounts);
}

void fixture_close(void)
{
    DIR *dir = opendir(folder);

    cr_assert_not_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            unlink(fixture_path(entry->d_name));
    closedir(dir);
    rmdir(folder);
    config_memory_free(&memory);
}

const char *fixture_path(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

void fixture_write(const char *name, const char *text)
{
    FILE *file = fopen(fixture_path(name), "w");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    fclose(file);
}

/* Errors begin with the folder, which is another one each time. */
static void cut_folder(void)
{
    size_t len = strlen(folder);

    if (strncmp(fixture_error, folder, len) == 0)
        memmove(fixture_error, fixture_error + len + 1, strlen(fixture_error) - len);
}

enum status fixture_load(const char *text, struct config **out)
{
    enum status st = config_load_text(fixture_path("main.yaml"), text_of(text), &fixture_known,
                                      FIXTURE_NOW_S, fixture_error, out);

    cut_folder();
    return st;
}

struct config *fixture_load_ok(const char *text)
{
    struct config *config = NULL;
    enum status st = fixture_load(text, &config);

    cr_assert_eq(st, ST_OK, "%s", fixture_error);
    return config;
}

enum status fixture_load_policy(const char *text, struct policy *out)
{
    fixture_write("p.yaml", text);
    enum status st = policy_load(fixture_path("p.yaml"), FIXTURE_NOW_S, memory, fixture_error, out);

    cut_folder();
    return st;
}
