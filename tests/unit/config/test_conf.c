/* SPDX-License-Identifier: Apache-2.0 */
/* test_conf.c - what is shipped in conf/ and policies/ loads. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "unit/config/fixture.h"

typedef void load_fn(const char *file);

static int each_yaml(const char *folder, load_fn *load)
{
    DIR *dir = opendir(folder);
    int len = 0;

    cr_assert_not_null(dir, "%s", folder);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char file[512];
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".yaml") != 0)
            continue;
        snprintf(file, sizeof(file), "%s/%s", folder, entry->d_name);
        load(file);
        len++;
    }
    closedir(dir);
    return len;
}

static void load_main(const char *file)
{
    struct config *config = NULL;

    /* A file of keys; the main files name it. */
    if (strstr(file, "accounts"))
        return;
    enum status st = config_load(file, &fixture_known, FIXTURE_NOW_S, fixture_error, &config);
    cr_expect_eq(st, ST_OK, "%s", fixture_error);
    config_unref(&config);
}

static void load_policy(const char *file)
{
    struct config_memory *memory = config_memory_new();
    struct policy policy;

    cr_assert_not_null(memory);
    enum status st = policy_load(file, FIXTURE_NOW_S, memory, fixture_error, &policy);
    cr_expect_eq(st, ST_OK, "%s", fixture_error);
    config_memory_free(&memory);
}

Test(conf, all_of_conf_loads)
{
    cr_expect_geq(each_yaml("conf", load_main), 2);
}

Test(conf, all_policies_load)
{
    cr_expect_geq(each_yaml("policies", load_policy), 2);
}
