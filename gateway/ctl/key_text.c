/* SPDX-License-Identifier: Apache-2.0 */
/* key_text.c - reading and editing files of keys.
 * libyaml tells where each item begins and ends; the edit itself is on bytes.  Its marks count characters, which a cursor
 * turns into bytes. */
#include "ctl/key_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/json.h"
#include "config/value.h"

static const char bom[] = "\xef\xbb\xbf";

/* --- reading ------------------------------------------------------------------------------------------------------------ */

struct scan {
    struct text text;
    yaml_parser_t parser;
    struct key_list *list;
    char *why;
    size_t at_char, at_byte; /* the cursor */
};

static enum status complain(char *why, const char *what, int line)
{
    snprintf(why, KEY_WHY_MAX, "line %d: %s", line, what);
    return ST_INVALID;
}

static int line_of(const yaml_event_t *event)
{
    return (int)event->start_mark.line + 1;
}

/* Marks come in ascending order, nearly always. */
static size_t byte_of(struct scan *s, yaml_mark_t mark)
{
    if (mark.index < s->at_char)
        s->at_char = s->at_byte = 0;
    while (s->at_char < mark.index && s->at_byte < s->text.len) {
        size_t len =
            text_utf8_len((struct text){s->text.ptr + s->at_byte, s->text.len - s->at_byte});

        s->at_byte += MAX(len, 1U);
        s->at_char++;
    }
    return s->at_byte;
}

static enum status next(struct scan *s, yaml_event_t *out)
{
    if (yaml_parser_parse(&s->parser, out))
        return ST_OK;
    if (s->parser.error == YAML_MEMORY_ERROR)
        return ST_NOMEM;
    return complain(s->why, s->parser.problem ? s->parser.problem : "not YAML",
                    (int)s->parser.problem_mark.line + 1);
}

/* The next event, which must be of that type; its content is not needed. */
static enum status expect(struct scan *s, yaml_event_type_t type, const char *what)
{
    yaml_event_t event;
    enum status st = next(s, &event);
    yaml_event_type_t found;

    if (st)
        return st;
    found = event.type;
    int line = line_of(&event);
    yaml_event_delete(&event);
    return found == type ? ST_OK : complain(s->why, what, line);
}

static const char **field_of(struct key_item *item, const char *name)
{
    if (strcmp(name, "sha256") == 0)
        return &item->sha256;
    if (strcmp(name, "account") == 0)
        return &item->account;
    if (strcmp(name, "tier") == 0)
        return &item->tier;
    if (strcmp(name, "timezone") == 0)
        return &item->timezone;
    return strcmp(name, "team") == 0 ? &item->team : NULL;
}

static enum status keep(const char **field, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return ST_NOMEM;
    if (**field)
        free((char *)*field);
    *field = copy;
    return ST_OK;
}

/* One key or value of an item, which ends there as far as is known yet. */
static enum status take_scalar(struct scan *s, struct key_item *item, const yaml_event_t *event,
                               const char **field, bool is_key, const char ***out_field)
{
    const char *value = (const char *)event->data.scalar.value;

    item->end = byte_of(s, event->end_mark);
    if (is_key) {
        *out_field = field_of(item, value);
        return ST_OK;
    }
    return field ? keep(field, value) : ST_OK;
}

/* From behind the begin of its mapping to its end. */
static enum status read_item(struct scan *s, struct key_item *item)
{
    const char **field = NULL;
    bool is_key = true;

    for (;;) {
        yaml_event_t event;
        enum status st = next(s, &event);

        if (st)
            return st;
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        bool is_scalar = event.type == YAML_SCALAR_EVENT;
        if (is_end && item->is_flow)
            item->end = byte_of(s, event.end_mark);
        if (is_scalar)
            st = take_scalar(s, item, &event, field, is_key, &field);
        is_key = !is_key;
        int line = line_of(&event);
        yaml_event_delete(&event);
        if (!is_end && !is_scalar)
            return complain(s->why, "a key's sha256, account, tier and team are single values",
                            line);
        if (st || is_end)
            return st;
    }
}

static struct key_item *item_new(struct key_list *list)
{
    if ((list->len & (list->len - 1)) == 0) {
        size_t size = list->len ? 2 * (size_t)list->len : 1;
        struct key_item *items = realloc(list->items, size * sizeof(*items));

        if (!items)
            return NULL;
        list->items = items;
    }
    struct key_item *item = &list->items[list->len++];
    *item = (struct key_item){.sha256 = "", .account = "", .tier = "", .team = "", .timezone = ""};
    return item;
}

static enum status read_items(struct scan *s)
{
    for (;;) {
        yaml_event_t event;
        enum status st = next(s, &event);

        if (st)
            return st;
        yaml_event_type_t type = event.type;
        bool is_flow = event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        size_t begin = type == YAML_MAPPING_START_EVENT ? byte_of(s, event.start_mark) : 0;
        int line = line_of(&event);
        yaml_event_delete(&event);
        if (type == YAML_SEQUENCE_END_EVENT)
            return ST_OK;
        if (type != YAML_MAPPING_START_EVENT)
            return complain(s->why, "expected {sha256, account, tier}", line);
        struct key_item *item = item_new(s->list);
        if (!item)
            return ST_NOMEM;
        item->begin = begin;
        item->is_flow = is_flow;
        st = read_item(s, item);
        if (st)
            return st;
    }
}

/* The value of "keys": a list, or nothing yet. */
static enum status read_value(struct scan *s)
{
    yaml_event_t event;
    enum status st = next(s, &event);

    if (st)
        return st;
    bool is_list = event.type == YAML_SEQUENCE_START_EVENT;
    bool is_nothing = event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
    s->list->is_flow = is_list && event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    s->list->begin = byte_of(s, s->list->is_flow ? event.end_mark : event.start_mark);
    s->list->is_missing = is_nothing;
    int line = line_of(&event);
    yaml_event_delete(&event);
    if (!is_list && !is_nothing)
        return complain(s->why, "keys is not a list", line);
    return is_list ? read_items(s) : ST_OK;
}

static enum status read_root(struct scan *s)
{
    yaml_event_t event;
    enum status st = next(s, &event);

    if (st)
        return st;
    bool is_keys = event.type == YAML_SCALAR_EVENT &&
                   strcmp((const char *)event.data.scalar.value, "keys") == 0;
    int line = line_of(&event);
    yaml_event_delete(&event);
    if (!is_keys)
        return complain(s->why, "expected keys", line);
    st = read_value(s);
    return st ? st : expect(s, YAML_MAPPING_END_EVENT, "expected nothing but keys");
}

/* A text without anything in it is a file without keys. */
static enum status read_stream(struct scan *s)
{
    yaml_event_t event;
    enum status st = expect(s, YAML_STREAM_START_EVENT, "not YAML");

    if (!st)
        st = next(s, &event);
    if (st)
        return st;
    bool is_empty = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    if (is_empty) {
        s->list->is_missing = true;
        s->list->begin = SIZE_MAX;
        return ST_OK;
    }
    st = expect(s, YAML_MAPPING_START_EVENT, "not a mapping with the key keys");
    if (!st)
        st = read_root(s);
    if (!st)
        st = expect(s, YAML_DOCUMENT_END_EVENT, "expected the end");
    return st ? st : expect(s, YAML_STREAM_END_EVENT, "a second document, expected one");
}

enum status key_text_read(struct text text, struct key_list *out, char why[KEY_WHY_MAX])
{
    struct scan scan = {.text = text, .list = out, .why = why};

    *out = (struct key_list){.len = 0};
    if (text_starts_with(text, TEXT(bom)))
        return complain(why, "a byte order mark; save the file without it", 1);
    if (!yaml_parser_initialize(&scan.parser))
        return ST_NOMEM;
    yaml_parser_set_encoding(&scan.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&scan.parser, (const unsigned char *)text.ptr, text.len);
    enum status st = read_stream(&scan);
    yaml_parser_delete(&scan.parser);
    if (st)
        key_list_free(out);
    return st;
}

void key_list_free(struct key_list *list)
{
    for (int i = 0; i < list->len; i++) {
        const struct key_item *item = &list->items[i];
        const char *texts[] = {item->sha256, item->account, item->tier, item->team, item->timezone};

        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            if (*texts[j])
                free((char *)texts[j]);
        }
    }
    free(list->items);
    *list = (struct key_list){.len = 0};
}

/* --- editing ------------------------------------------------------------------------------------------------------------ */

static bool is_same(const struct key_item *a, const struct key_item *b)
{
    return strcmp(a->sha256, b->sha256) == 0 && strcmp(a->account, b->account) == 0 &&
           strcmp(a->tier, b->tier) == 0 && strcmp(a->team, b->team) == 0 &&
           strcmp(a->timezone, b->timezone) == 0;
}

/* Bytes from begin to end of the text give way to others. */
struct edit {
    struct text text;
    const struct key_list *before; /* what the text holds */
    size_t begin, end;
    const char *with;
    int gone;                    /* the index of the item that goes, or -1 */
    const struct key_item *more; /* the item that comes, at the end, or NULL */
};

/* Does the list hold what it should after the edit? */
static bool is_right(const struct edit *edit, const struct key_list *after)
{
    const struct key_list *before = edit->before;
    int len = before->len - (edit->gone >= 0) + (edit->more != NULL);

    if (after->len != len)
        return false;
    for (int i = 0, j = 0; i < before->len; i++) {
        if (i != edit->gone && !is_same(&before->items[i], &after->items[j++]))
            return false;
    }
    return !edit->more || is_same(edit->more, &after->items[len - 1]);
}

static char *make(const struct edit *edit, size_t *out_len)
{
    size_t with_len = strlen(edit->with);
    size_t rest_len = edit->text.len - edit->end;
    char *made = malloc(edit->begin + with_len + rest_len + 1);

    if (!made)
        return NULL;
    memcpy(made, edit->text.ptr, edit->begin);
    memcpy(made + edit->begin, edit->with, with_len);
    memcpy(made + edit->begin + with_len, edit->text.ptr + edit->end, rest_len);
    *out_len = edit->begin + with_len + rest_len;
    made[*out_len] = '\0';
    return made;
}

static enum status apply(const struct edit *edit, char **out, char why[KEY_WHY_MAX])
{
    size_t len = 0;
    char *made = make(edit, &len);
    struct key_list after;

    if (!made)
        return ST_NOMEM;
    enum status st = key_text_read((struct text){made, len}, &after, why);
    if (st == ST_OK) {
        st = is_right(edit, &after) ? ST_OK : ST_INVALID;
        key_list_free(&after);
    }
    if (st == ST_OK) {
        *out = made;
        return ST_OK;
    }
    free(made);
    if (st == ST_INVALID)
        snprintf(why, KEY_WHY_MAX,
                 "its layout is too unusual to be edited safely; edit it by hand");
    return st;
}

static size_t line_begin(struct text text, size_t at)
{
    while (at > 0 && text.ptr[at - 1] != '\n')
        at--;
    return at;
}

/* Behind its line feed, or the end of the text. */
static size_t line_end(struct text text, size_t at)
{
    while (at < text.len && text.ptr[at] != '\n')
        at++;
    return at < text.len ? at + 1 : at;
}

static void add_scalar(struct text_out *out, const char *name, const char *value)
{
    struct text t = text_of(value);

    text_out_printf(out, ", %s: ", name);
    if (value_is_name(t, t.len)) {
        text_out_add(out, t);
        return;
    }
    text_out_char(out, '"');
    for (size_t i = 0; i < t.len; i++) {
        if (t.ptr[i] == '"' || t.ptr[i] == '\\')
            text_out_char(out, '\\');
        text_out_char(out, t.ptr[i]);
    }
    text_out_char(out, '"');
}

/* In a list written as JSON the new item is JSON too. */
static void print_item(struct text_out *out, const struct key_item *item, bool is_json)
{
    if (is_json) {
        text_out_printf(out, "{\"sha256\": \"%s\", \"account\": ", item->sha256);
        json_out_string(out, text_of(item->account));
        text_out_printf(out, ", \"tier\": \"%s\"", item->tier);
        if (*item->team)
            text_out_printf(out, ", \"team\": \"%s\"", item->team);
        if (*item->timezone)
            text_out_printf(out, ", \"timezone\": \"%s\"", item->timezone);
        text_out_char(out, '}');
        return;
    }
    text_out_printf(out, "{sha256: %s", item->sha256);
    add_scalar(out, "account", item->account);
    add_scalar(out, "tier", item->tier);
    if (*item->team)
        add_scalar(out, "team", item->team);
    if (*item->timezone)
        add_scalar(out, "timezone", item->timezone);
    text_out_char(out, '}');
}

/* What goes where, for the list as it is. */
static size_t place_new(struct text text, const struct key_list *list, const struct key_item *item,
                        struct text_out *out)
{
    const struct key_item *last = list->len ? &list->items[list->len - 1] : NULL;
    size_t at = last ? last->end : MIN(list->begin, text.len);

    if (list->is_flow) {
        text_out_add(out, last ? TEXT(", ") : TEXT(""));
        print_item(out, item, text.ptr[0] == '{');
        return at;
    }
    int indent = 2;
    if (last) {
        size_t dash = list->items[0].begin;
        size_t line = line_begin(text, dash);

        while (dash > line && text.ptr[dash] != '-')
            dash--;
        indent = (int)(dash - line);
    }
    at = line_end(text, at);
    if (at > 0 && text.ptr[at - 1] != '\n')
        text_out_char(out, '\n');
    if (list->is_missing && list->begin == SIZE_MAX)
        text_out_add(out, TEXT("keys:\n"));
    text_out_printf(out, "%*s- ", indent, "");
    print_item(out, item, false);
    text_out_char(out, '\n');
    return at;
}

enum status key_text_add(struct text text, const struct key_item *item, char **out,
                         char why[KEY_WHY_MAX])
{
    char made[1024];
    struct text_out added;
    struct key_list list;
    enum status st = key_text_read(text, &list, why);

    if (st)
        return st;
    text_out_init(&added, made, sizeof(made));
    size_t at = place_new(text, &list, item, &added);
    if (added.is_full) {
        snprintf(why, KEY_WHY_MAX, "the names are too long");
        st = ST_INVALID;
    } else {
        struct edit edit = {text, &list, at, at, made, -1, item};

        st = apply(&edit, out, why);
    }
    key_list_free(&list);
    return st;
}

/* Between commas. */
static void span_of_flow(const struct key_list *list, int index, size_t *begin, size_t *end)
{
    const struct key_item *item = &list->items[index];

    *begin = index > 0 ? item[-1].end : item->begin;
    *end = index > 0 || list->len == 1 ? item->end : item[1].begin;
}

enum status key_text_remove(struct text text, int index, char **out, char why[KEY_WHY_MAX])
{
    struct key_list list;
    enum status st = key_text_read(text, &list, why);

    if (st)
        return st;
    ASSERT(index >= 0 && index < list.len);
    struct edit edit = {.text = text, .before = &list, .with = "", .gone = index};
    if (list.is_flow) {
        span_of_flow(&list, index, &edit.begin, &edit.end);
    } else {
        edit.begin = line_begin(text, list.items[index].begin);
        edit.end = line_end(text, list.items[index].end);
        /* A list that is empty must still be one. */
        edit.with = list.len == 1 ? "  []\n" : "";
    }
    st = apply(&edit, out, why);
    key_list_free(&list);
    return st;
}
