/* SPDX-License-Identifier: Apache-2.0 */
/* meltctl.c - the operator's command: the command line, and which verb it means. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

#define SOCKET_DEFAULT "/run/meltguard/admin.sock"
#define ADMIN_DEFAULT  "http://127.0.0.1:9901"

static const struct verb verbs[] = {
    {"quota", "show", "ACCOUNT", "tgm", "", "how the account's limits stand", quota_show},
    {"quota", "grant", "ACCOUNT", "iculstgmx", "|",
     "so many more (fewer, where negative) in the present window, or in each until a date",
     quota_grant},
    {"quota", "set", "ACCOUNT", "iclstgmx", "|", "so many count as used in the present window",
     quota_set},
    {"quota", "reset", "ACCOUNT", "lstgmx", "",
     "as if nothing had been used or granted in the present window", quota_reset},
    {"quota", "top", NULL, "n", "",
     "who was charged most images today, by all gateways on the store", quota_top},
    {"quota", "service", NULL, "", "", "how the limits of the whole service stand", quota_service},
    {"key", "add", "ACCOUNT", "tgzbk", "t", "a new key, printed once", key_add},
    {"key", "revoke", "[KEY]", "ak", "",
     "KEY: 16 or more digits of its SHA-256 (8 in a file), or - to read the key from standard "
     "input",
     key_revoke},
    {"key", "list", "[ACCOUNT]", "k", "", "the keys: beginning of the SHA-256, account, tier, team",
     key_list},
    {"key", "import", "FILE", "", "", "puts the keys of a file into the gateway's keystore",
     key_import},
};

enum { OPTION_ADMIN = 256, OPTION_SOCKET, OPTION_TOKEN_FILE, OPTION_JSON, OPTION_VERSION };

static const struct option options[] = {
    {"admin", required_argument, NULL, OPTION_ADMIN},
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"json", no_argument, NULL, OPTION_JSON},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
#define X(name, letter, value, help) {#name, required_argument, NULL, letter},
    CTL_OPTIONS(X)
#undef X
        {NULL, 0, NULL, 0},
};

/* --- help --------------------------------------------------------------------------------------------------------------- */

static void print_common(FILE *file)
{
    fputs("\nHow the gateway is reached (see `admin` in its configuration):\n"
          "  --socket PATH       its Unix socket; default " SOCKET_DEFAULT ", where there is one\n"
          "  --admin URL         its address; default " ADMIN_DEFAULT "\n"
          "  --token-file FILE   the admin token; changes by address need it\n"
          "\n"
          "  --json              answers for programs\n"
          "  --help, --version\n"
          "\n"
          "Exit status: 0 done, 1 refused, 2 wrong command line, 3 no gateway answered.\n",
          file);
}

static void print_usage(FILE *file)
{
    fputs("Usage: meltctl NOUN VERB [ARGUMENT] [OPTIONS]      meltctl NOUN VERB --help\n\n", file);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        char line[64];

        snprintf(line, sizeof(line), "%s %s %s", verbs[i].noun, verbs[i].name,
                 verbs[i].object ? verbs[i].object : "");
        fprintf(file, "  %-22s  %s\n", line, verbs[i].help);
    }
    print_common(file);
}

static void print_verb(const struct verb *verb)
{
    printf("Usage: meltctl %s %s%s%s [OPTIONS]\n\n%s\n\n", verb->noun, verb->name,
           verb->object ? " " : "", verb->object ? verb->object : "", verb->help);
#define X(name, letter, value, help)                                                               \
    if (strchr(verb->options, letter))                                                             \
        printf("  --%-8s %-6s %s%s\n", #name, value, help,                                         \
               strchr(verb->needs, letter) ? " (needed)" : "");
    CTL_OPTIONS(X)
#undef X
    if (strchr(verb->needs, '|'))
        puts("\nOne of --images and --credits is needed.");
    print_common(stdout);
}

static int refuse(const char *why, const char *what)
{
    fprintf(stderr, "meltctl: %s%s\n\n", why, what);
    print_usage(stderr);
    return EXIT_USAGE;
}

/* --- the command line --------------------------------------------------------------------------------------------------- */

struct line {
    struct ctl ctl;
    char given[32]; /* letters of the verbs' options that were there */
    bool wants_help;
    bool wants_version;
};

static bool take_verb_option(struct line *line, int letter, const char *value)
{
    switch (letter) {
#define X(name, name_letter, value_name, help)                                                     \
    case name_letter:                                                                              \
        line->ctl.name = value;                                                                    \
        break;
        CTL_OPTIONS(X)
#undef X
    default:
        return false;
    }
    size_t len = strlen(line->given);
    if (!strchr(line->given, letter) && len + 1 < sizeof(line->given))
        line->given[len] = (char)letter;
    return true;
}

static bool take_option(struct line *line, int option, const char *value)
{
    switch (option) {
    case OPTION_ADMIN:
        line->ctl.admin = value;
        return true;
    case OPTION_SOCKET:
        line->ctl.socket = value;
        return true;
    case OPTION_TOKEN_FILE:
        line->ctl.token_file = value;
        return true;
    case OPTION_JSON:
        line->ctl.is_json = true;
        return true;
    case OPTION_VERSION:
        line->wants_version = true;
        return true;
    case 'h':
        line->wants_help = true;
        return true;
    default:
        return take_verb_option(line, option, value);
    }
}

/* A token goes with an address; where neither is said, the socket is tried first. */
static void choose_way(struct ctl *ctl)
{
    if (ctl->admin || ctl->socket)
        return;
    if (!ctl->token_file && access(SOCKET_DEFAULT, F_OK) == 0)
        ctl->socket = SOCKET_DEFAULT;
    else
        ctl->admin = ADMIN_DEFAULT;
}

static const struct verb *find_verb(const char *noun, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].noun, noun) == 0 && strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static const char *name_of(char letter)
{
    switch (letter) {
#define X(name, name_letter, value, help)                                                          \
    case name_letter:                                                                              \
        return "--" #name;
        CTL_OPTIONS(X)
#undef X
    default:
        return "";
    }
}

static int check_options(const struct verb *verb, const struct line *line)
{
    for (const char *c = line->given; *c; c++) {
        if (!strchr(verb->options, *c))
            return ctl_fail(EXIT_USAGE, "%s %s does not take %s", verb->noun, verb->name,
                            name_of(*c));
    }
    for (const char *c = verb->needs; *c; c++) {
        if (*c != '|' && !strchr(line->given, *c))
            return ctl_fail(EXIT_USAGE, "%s %s needs %s", verb->noun, verb->name, name_of(*c));
    }
    if (strchr(verb->needs, '|') && !line->ctl.images == !line->ctl.credits)
        return ctl_fail(EXIT_USAGE, "%s %s needs --images or --credits, one of them", verb->noun,
                        verb->name);
    if (line->ctl.admin && line->ctl.socket)
        return ctl_fail(EXIT_USAGE, "--admin and --socket, expected one of them");
    return EXIT_DONE;
}

static int check_object(const struct verb *verb, int args, struct ctl *ctl, char **argv)
{
    bool is_optional = verb->object && verb->object[0] == '[';

    if (args > 1 || (args == 1 && !verb->object))
        return ctl_fail(EXIT_USAGE, "an argument too many: %s", argv[args - 1]);
    if (args == 0 && verb->object && !is_optional)
        return ctl_fail(EXIT_USAGE, "%s %s needs %s", verb->noun, verb->name, verb->object);
    ctl->object = args ? argv[0] : NULL;
    if (ctl->object && !*ctl->object)
        return ctl_fail(EXIT_USAGE, "an empty argument");
    return EXIT_DONE;
}

static int run(struct line *line, int args, char **argv)
{
    const struct verb *verb = args >= 2 ? find_verb(argv[0], argv[1]) : NULL;

    if (!verb && line->wants_help) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (!verb)
        return args == 0 ? refuse("what is to be done?", "")
                         : refuse("no such verb: ", argv[args >= 2 ? 1 : 0]);
    if (line->wants_help) {
        print_verb(verb);
        return EXIT_DONE;
    }
    int code = check_object(verb, args - 2, &line->ctl, argv + 2);
    if (code == EXIT_DONE)
        code = check_options(verb, line);
    if (code)
        return code;
    choose_way(&line->ctl);
    return verb->run(&line->ctl);
}

int main(int argc, char **argv)
{
    struct line line = {.wants_help = false};

    for (;;) {
        int option = getopt_long(argc, argv, "hn:", options, NULL);

        if (option == -1)
            break;
        if (!take_option(&line, option, optarg))
            return EXIT_USAGE;
    }
    if (line.wants_version) {
        printf("meltctl %s\n", MELTGUARD_VERSION);
        return EXIT_DONE;
    }
    return run(&line, argc - optind, argv + optind);
}
