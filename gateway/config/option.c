/* SPDX-License-Identifier: Apache-2.0 */
/* option.c - plain options by the table of options.def.      Runs on: control thread. */
#include "config/option.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/keys.h"
#include "config/value.h"

enum option_type {
    OPTION_NONE,
    OPTION_INT,
    OPTION_DURATION_MS,
    OPTION_SIZE,
    OPTION_WORD,
    OPTION_TEXT
};
enum option_reload { OPTION_RELOAD, OPTION_RESTART };

struct option {
    const char *path;
    enum option_type type;
    enum option_reload reload;
    size_t offset; /* in struct config */
    const char *initial;
    int64_t low, high;
    const char *help;
};

static const struct option options[] = {
#define OPTION(path, type, field, initial, low, high, reload, help)                                \
    {path, OPTION_##type, OPTION_##reload, offsetof(struct config, field), initial, low,           \
     high, help},
#include "config/options.def"
#undef OPTION
};

/* The closed sets of WORD options.  Zero is no value. */
static const struct word {
    const char *path;
    const char *word;
    int value;
} words[] = {
    {"quota.commit", "sent", COMMIT_SENT},
    {"quota.commit", "acknowledged", COMMIT_ACKNOWLEDGED},
    {"telemetry.when_stale", "overloaded", WHEN_STALE_OVERLOADED},
    {"telemetry.when_stale", "unknown", WHEN_STALE_UNKNOWN},
    {"log.format", "json", ACCESS_FORMAT_JSON},
    {"log.format", "text", ACCESS_FORMAT_TEXT},
    {"log.level", "error", LOG_ERROR},
    {"log.level", "warn", LOG_WARN},
    {"log.level", "note", LOG_NOTE},
    {"log.level", "debug", LOG_DEBUG},
};

#define EXPECTED_MAX 160

static void *field(const struct option *option, struct config *config)
{
    return (char *)config + option->offset;
}

/* --- what is expected --- */

static bool has_auto(const struct option *option)
{
    return strcmp(option->initial, "auto") == 0;
}

static void print_bound(const struct option *option, int64_t bound, struct text_out *out)
{
    if (option->type == OPTION_DURATION_MS)
        value_print_duration_ms(bound, out);
    else if (option->type == OPTION_SIZE)
        value_print_size(bound, out);
    else
        text_out_int(out, bound);
}

static void print_range(const struct option *option, struct text_out *out)
{
    print_bound(option, option->low, out);
    text_out_add(out, TEXT(" to "));
    print_bound(option, option->high, out);
}

static void print_words(const struct option *option, struct text_out *out)
{
    const char *separator = "";

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].path, option->path) != 0)
            continue;
        text_out_printf(out, "%s%s", separator, words[i].word);
        separator = ", ";
    }
}

/* The values that an option takes, for errors and the table. */
static void print_values(const struct option *option, struct text_out *out)
{
    switch (option->type) {
    case OPTION_INT:
    case OPTION_DURATION_MS:
    case OPTION_SIZE:
        if (has_auto(option))
            text_out_add(out, TEXT("auto, or "));
        print_range(option, out);
        return;
    case OPTION_WORD:
        print_words(option, out);
        return;
    case OPTION_TEXT:
        text_out_add(out, TEXT("text"));
        return;
    case OPTION_NONE:
        break;
    }
    ASSERT(false);
}

static enum status wrong(struct reader *r, const struct option *option, const struct node *node)
{
    static const char *const before[] = {
        [OPTION_INT] = "a whole number, ",
        [OPTION_DURATION_MS] = "a duration (as 250ms, 10s, 5min or 1h), ",
        [OPTION_SIZE] = "a size (as 512, 16KiB or 1MiB), ",
        [OPTION_WORD] = "one of: ",
        [OPTION_TEXT] = "a line of ",
    };
    char expected[EXPECTED_MAX];
    struct text_out out;

    text_out_init(&out, expected, sizeof(expected));
    text_out_add(&out, text_of(before[option->type]));
    print_values(option, &out);
    return key_wrong(r, node, option->path, expected, false);
}

/* --- reading --- */

static enum status parse_number(const struct option *option, struct text t, int64_t *out)
{
    if (has_auto(option) && text_equal(t, TEXT("auto"))) {
        *out = 0;
        return ST_OK;
    }
    int64_t value = 0;
    enum status st = option->type == OPTION_INT    ? value_integer(t, &value)
                     : option->type == OPTION_SIZE ? value_size(t, &value)
                                                   : value_duration_ms(t, &value);
    if (st || value < option->low || value > option->high)
        return ST_INVALID;
    *out = value;
    return ST_OK;
}

static enum status parse_word(const struct option *option, struct text t, int *out)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i].path, option->path) == 0 && text_equal(t, text_of(words[i].word))) {
            *out = words[i].value;
            return ST_OK;
        }
    }
    return ST_INVALID;
}

static enum status keep_line(struct config *config, const struct option *option, struct text t)
{
    if (!value_is_line(t))
        return ST_INVALID;
    const char *kept = memory_text(config->memory, t);
    if (!kept)
        return ST_NOMEM;
    *(const char **)field(option, config) = kept;
    return ST_OK;
}

static enum status set(struct config *config, const struct option *option, struct text t)
{
    switch (option->type) {
    case OPTION_INT:
    case OPTION_DURATION_MS:
    case OPTION_SIZE:
        return parse_number(option, t, field(option, config));
    case OPTION_WORD:
        return parse_word(option, t, field(option, config));
    case OPTION_TEXT:
        return keep_line(config, option, t);
    case OPTION_NONE:
        break;
    }
    return ST_INVALID;
}

static enum status read_one(struct reader *r, const struct option *option, const struct node *node,
                            struct config *config)
{
    enum status st = ST_INVALID;

    if (node->kind == NODE_SCALAR)
        st = set(config, option, node->text);
    if (st == ST_NOMEM)
        return reader_no_memory(r);
    return st ? wrong(r, option, node) : ST_OK;
}

void option_set_defaults(struct config *config)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *option = &options[i];
        if (option->type == OPTION_TEXT) {
            *(const char **)field(option, config) = option->initial;
            continue;
        }
        enum status st = set(config, option, text_of(option->initial));
        ASSERT(st == ST_OK);
    }
}

/* The part of a path before its dot; the whole where it has none. */
static struct text path_head(const char *path)
{
    const char *dot = strchr(path, '.');

    return dot ? (struct text){path, (size_t)(dot - path)} : text_of(path);
}

/* The part behind the dot, or NULL. */
static const char *path_tail(const char *path)
{
    const char *dot = strchr(path, '.');

    return dot ? dot + 1 : NULL;
}

bool option_takes(struct text key)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (text_equal(path_head(options[i].path), key))
            return true;
    return false;
}

/* The options of a group stand together. */
int option_keys(struct text *names, int names_max)
{
    int len = 0;

    for (size_t i = 0; i < ARRAY_LEN(options) && len < names_max; i++) {
        struct text head = path_head(options[i].path);
        if (len == 0 || !text_equal(names[len - 1], head))
            names[len++] = head;
    }
    return len;
}

/* The option at group.name; with name NULL, the one that is called group. */
static const struct option *find(struct text group, struct text name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (text_equal(path_head(options[i].path), group) &&
            text_equal(text_of(path_tail(options[i].path)), name))
            return &options[i];
    return NULL;
}

static enum status unknown_in_group(struct reader *r, const struct node *key, struct text group)
{
    struct text names[ARRAY_LEN(options)];
    int len = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (text_equal(path_head(options[i].path), group))
            names[len++] = text_of(path_tail(options[i].path));
    return key_unknown(r, key, names, len);
}

static enum status read_group(struct reader *r, const struct node *group, struct config *config)
{
    struct text name = group->key->text;

    if (group->kind != NODE_MAPPING)
        return key_wrong(r, group, name.ptr, "a mapping of options (see --options)", false);
    for (const struct node *value = group->first; value; value = value->next) {
        const struct option *option = find(name, value->key->text);
        if (!option)
            return unknown_in_group(r, value->key, name);
        enum status st = read_one(r, option, value, config);
        if (st)
            return st;
    }
    return ST_OK;
}

enum status option_read_all(struct reader *r, const struct node *top, struct config *config)
{
    for (const struct node *value = top->first; value; value = value->next) {
        if (!option_takes(value->key->text))
            continue;
        const struct option *option = find(value->key->text, TEXT_NONE);
        enum status st = option ? read_one(r, option, value, config) : read_group(r, value, config);
        if (st)
            return st;
    }
    return ST_OK;
}

/* --- reporting --- */

static bool is_same(const struct option *option, const struct config *from_config,
                    const struct config *to_config)
{
    const void *from = (const char *)from_config + option->offset;
    const void *to = (const char *)to_config + option->offset;

    switch (option->type) {
    case OPTION_INT:
    case OPTION_DURATION_MS:
    case OPTION_SIZE:
        return *(const int64_t *)from == *(const int64_t *)to;
    case OPTION_WORD:
        return *(const int *)from == *(const int *)to;
    case OPTION_TEXT:
        return strcmp(*(const char *const *)from, *(const char *const *)to) == 0;
    case OPTION_NONE:
        break;
    }
    return true;
}

void option_restart_changes(const struct config *from, const struct config *to,
                            struct text_out *out)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (options[i].reload != OPTION_RESTART || is_same(&options[i], from, to))
            continue;
        text_out_printf(out, "%s%s", out->len > 0 ? ", " : "", options[i].path);
    }
}

void config_print_options(void)
{
    printf("%-24s %-26s %-24s %-8s %s\n", "OPTION", "DEFAULT", "VALUES", "CHANGES", "WHAT");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *option = &options[i];
        char values[EXPECTED_MAX];
        struct text_out out;
        text_out_init(&out, values, sizeof(values));
        print_values(option, &out);
        printf("%-24s %-26s %-24s %-8s %s\n", option->path, option->initial, values,
               option->reload == OPTION_RESTART ? "restart" : "reload", option->help);
    }
}
