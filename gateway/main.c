/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the command line of meltguard. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "run/control.h"

static const char usage[] =
    "Usage: meltguard --config FILE [--check]\n"
    "       meltguard --options | --version | --help\n"
    "\n"
    "The admission gateway in front of image-generation backends.\n"
    "\n"
    "  -c, --config FILE  run with this configuration (YAML)\n"
    "      --check        only read it, say what is wrong, and exit\n"
    "      --options      print every plain option, its default and its meaning\n"
    "      --version      print the version\n"
    "  -h, --help         print this\n"
    "\n"
    "SIGTERM drains and ends, SIGINT ends soon, SIGHUP reloads the configuration.\n";

enum { OPTION_CHECK = 256, OPTION_OPTIONS, OPTION_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"options", no_argument, NULL, OPTION_OPTIONS},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int refuse(const char *why)
{
    fprintf(stderr, "meltguard: %s\n%s", why, usage);
    return 2;
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    bool is_check = false;

    for (;;) {
        int option = getopt_long(argc, argv, "c:h", options, NULL);

        if (option == -1)
            break;
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case OPTION_CHECK:
            is_check = true;
            break;
        case OPTION_OPTIONS:
            config_print_options();
            return EXIT_SUCCESS;
        case OPTION_VERSION:
            printf("meltguard %s\n", MELTGUARD_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc)
        return refuse("there are no arguments but options");
    if (!file)
        return refuse("--config FILE is needed");
    return is_check ? control_check(file) : control_run(file);
}
