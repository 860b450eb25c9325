/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c - YAML to nodes, by libyaml's events.      Runs on: control thread.
 * A node is complete once its closing event came; open ones stand on a stack of bounded depth. */
#include "config/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yaml.h>

#define DEPTH_MAX 16
/* The longest mapping is that of teams; looking for doubles is quadratic. */
#define MAPPING_KEYS_MAX TEAMS_MAX

struct builder {
    struct reader *r;
    const char *file;
    yaml_parser_t parser;
    struct node *root;
    int depth;
    struct node *open[DEPTH_MAX];
    struct node *key[DEPTH_MAX]; /* of an open mapping: the key whose value comes next, or NULL */
    bool is_over;
};

static struct node place(const struct builder *b, yaml_mark_t mark)
{
    return (struct node){
        .file = b->file, .line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

static struct node *new_node(struct builder *b, enum node_kind kind, yaml_mark_t mark)
{
    struct node *node = arena_alloc(&b->r->scratch, sizeof(*node));

    if (!node)
        return NULL;
    *node = place(b, mark);
    node->kind = kind;
    return node;
}

static enum status take_key(struct builder *b, struct node *node)
{
    struct node *mapping = b->open[b->depth - 1];
    char echo[READER_ECHO_MAX];

    if (node->kind != NODE_SCALAR || node->text.len == 0)
        return reader_fail(b->r, node, "not a key, expected a word and a colon");
    if (node_find(mapping, node->text))
        return reader_fail(b->r, node, "key '%s' is here for the second time, expected it once",
                           reader_echo(node, echo));
    if (mapping->len == MAPPING_KEYS_MAX)
        return reader_fail(b->r, node, "too many keys, expected at most %d", MAPPING_KEYS_MAX);
    b->key[b->depth - 1] = node;
    return ST_OK;
}

/* Hangs a node where it belongs: under the innermost open one, as its next item, key or value. */
static enum status add(struct builder *b, struct node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return ST_OK;
    }
    struct node *parent = b->open[b->depth - 1];
    if (parent->kind == NODE_MAPPING && !b->key[b->depth - 1])
        return take_key(b, node);
    node->key = b->key[b->depth - 1];
    b->key[b->depth - 1] = NULL;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->len++;
    return ST_OK;
}

static enum status refuse_marks(struct builder *b, const struct node *at, const yaml_char_t *anchor,
                                const yaml_char_t *tag)
{
    if (anchor)
        return reader_fail(b->r, at, "an anchor (&), expected plain YAML without anchors");
    if (tag)
        return reader_fail(b->r, at, "a tag (!), expected plain YAML without tags");
    return ST_OK;
}

static enum status on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct node *node = new_node(b, NODE_SCALAR, event->start_mark);

    if (!node)
        return reader_no_memory(b->r);
    enum status st = refuse_marks(b, node, event->data.scalar.anchor, event->data.scalar.tag);
    if (st)
        return st;
    struct text t = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (memchr(t.ptr, '\0', t.len))
        return reader_fail(b->r, node, "a NUL character, expected text without it");
    node->text = arena_copy(&b->r->scratch, t);
    if (!node->text.ptr)
        return reader_no_memory(b->r);
    return add(b, node);
}

static enum status open_node(struct builder *b, enum node_kind kind, const yaml_event_t *event,
                             const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct node *node = new_node(b, kind, event->start_mark);

    if (!node)
        return reader_no_memory(b->r);
    enum status st = refuse_marks(b, node, anchor, tag);
    if (st)
        return st;
    if (b->depth == DEPTH_MAX)
        return reader_fail(b->r, node, "nested too deep, expected at most %d levels", DEPTH_MAX);
    st = add(b, node);
    if (st)
        return st;
    b->open[b->depth] = node;
    b->key[b->depth] = NULL;
    b->depth++;
    return ST_OK;
}

static enum status on_event(struct builder *b, const yaml_event_t *event)
{
    struct node at = place(b, event->start_mark);

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return reader_fail(b->r, &at, "a second document, expected only one");
        return ST_OK;
    case YAML_ALIAS_EVENT:
        return reader_fail(b->r, &at, "an alias (*), expected plain YAML without aliases");
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(b, NODE_LIST, event, event->data.sequence_start.anchor,
                         event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_node(b, NODE_MAPPING, event, event->data.mapping_start.anchor,
                         event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return ST_OK;
    case YAML_STREAM_END_EVENT:
        b->is_over = true;
        return ST_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return ST_OK;
    }
    return ST_OK;
}

/* libyaml's own complaint.  Bytes that are no text at all have an offset only. */
static enum status syntax_error(struct builder *b)
{
    const yaml_parser_t *parser = &b->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        return reader_no_memory(b->r);
    bool is_reader = parser->error == YAML_READER_ERROR;
    struct node at = place(b, is_reader ? parser->mark : parser->problem_mark);
    const char *problem = parser->problem ? parser->problem : "cannot be parsed";
    if (is_reader)
        return reader_fail(b->r, &at, "%s at byte %zu, expected YAML in UTF-8", problem,
                           parser->problem_offset);
    return reader_fail(b->r, &at, "%s%s%s, expected YAML", problem, parser->context ? " " : "",
                       parser->context ? parser->context : "");
}

static enum status build(struct builder *b)
{
    enum status st = ST_OK;

    while (!st && !b->is_over) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return syntax_error(b);
        st = on_event(b, &event);
        yaml_event_delete(&event);
    }
    return st;
}

enum status parse_text(struct reader *r, const char *file, struct text document,
                       const struct node **out)
{
    struct builder b = {.r = r};
    struct text name = arena_copy(&r->scratch, text_of(file));

    if (!name.ptr || !yaml_parser_initialize(&b.parser))
        return reader_no_memory(r);
    b.file = name.ptr;
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)document.ptr, document.len);
    enum status st = build(&b);
    yaml_parser_delete(&b.parser);
    if (st)
        return st;
    if (!b.root) {
        struct node start = {.file = b.file, .line = 1, .column = 1};
        return reader_fail(r, &start, "nothing here, expected a mapping");
    }
    *out = b.root;
    return ST_OK;
}

/* --- files --- */

static enum status file_error(struct reader *r, const char *file, const struct node *at,
                              const char *what)
{
    if (at)
        return reader_fail(r, at, "%s: %s, expected a readable file", file, what);
    struct node start = {.file = file, .line = 1, .column = 1};
    return reader_fail(r, &start, "%s, expected a readable file", what);
}

/* The size of an open regular file; -1 and *why for anything else. */
static int64_t file_size(int fd, const char **why)
{
    struct stat facts;

    if (fstat(fd, &facts)) {
        *why = strerror(errno);
        return -1;
    }
    if (!S_ISREG(facts.st_mode)) {
        *why = "not a regular file";
        return -1;
    }
    return facts.st_size;
}

/* Reads up to size bytes; fewer when the file shrank meanwhile.  False when reading fails. */
static bool read_all(int fd, char *buf, size_t size, size_t *len)
{
    *len = 0;
    while (*len < size) {
        ssize_t got = read(fd, buf + *len, size - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        *len += (size_t)got;
    }
    return true;
}

static enum status read_open_file(struct reader *r, int fd, const char *file, size_t bytes_max,
                                  const struct node *at, struct text *out)
{
    const char *why = NULL;
    int64_t size = file_size(fd, &why);

    if (size < 0)
        return file_error(r, file, at, why);
    if ((uint64_t)size > bytes_max) {
        struct node start = {.file = file, .line = 1, .column = 1};
        return reader_fail(r, &start, "%lld bytes long, expected at most %zu", (long long)size,
                           bytes_max);
    }
    char *buf = arena_alloc(&r->scratch, (size_t)size + 1);
    if (!buf)
        return reader_no_memory(r);
    size_t len;
    if (!read_all(fd, buf, (size_t)size, &len))
        return file_error(r, file, at, strerror(errno));
    *out = (struct text){buf, len};
    return ST_OK;
}

enum status parse_file(struct reader *r, const char *file, size_t bytes_max, const struct node *at,
                       const struct node **out)
{
    /* Not to wait for a writer, should it be a pipe. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return file_error(r, file, at, strerror(errno));
    struct text document = TEXT_NONE;
    enum status st = read_open_file(r, fd, file, bytes_max, at, &document);
    close(fd);
    return st ? st : parse_text(r, file, document, out);
}
