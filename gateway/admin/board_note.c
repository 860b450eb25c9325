/* SPDX-License-Identifier: Apache-2.0 */
/* board_note.c - a list of who was charged most, as text.      Runs on: control thread.  Pure.
 * A line an account: digest, images, error, tier, team, id, between tabs.  The last line is "least" and what an account
 * that is not in it may have had; a note without that line was cut short. */
#include <stdlib.h>
#include <string.h>

#include "admin/board.h"

#define COLUMNS 6

/* --- out --- */

static void add_name(struct text_out *out, const char *name)
{
    text_out_char(out, '\t');
    text_out_add(out, text_of(name));
}

static void add_number(struct text_out *out, int64_t number)
{
    text_out_char(out, '\t');
    text_out_int(out, number);
}

static void add_entry(struct text_out *out, const struct config *config,
                      const struct top_entry *entry)
{
    const struct policy *policy = &config->policy;
    const struct account *account = &entry->account;
    bool is_present = entry->generation == config->generation;

    text_out_hex(out, account->digest.bytes, sizeof(account->digest.bytes));
    add_number(out, entry->images);
    add_number(out, entry->error);
    add_name(out, is_present ? policy->tiers[account->tier].name : NULL);
    add_name(out, is_present && account->team >= 0 ? policy->teams[account->team].name : NULL);
    add_name(out, account->id);
    text_out_char(out, '\n');
}

void board_note_print(struct text_out *out, const struct config *config,
                      const struct top_list *list)
{
    const size_t last_line = sizeof("least\t-9223372036854775808\n");
    size_t size = out->size;
    int64_t least = list->least;

    out->size = size > last_line ? size - last_line : 0;
    for (int i = 0; i < list->len; i++) {
        size_t len = out->len;

        add_entry(out, config, &list->entries[i]);
        if (!out->is_full)
            continue;
        least = MAX(least, list->entries[i].images);
        out->len = len;
        out->is_full = false;
        break;
    }
    out->size = size;
    text_out_add(out, TEXT("least"));
    add_number(out, least);
    text_out_char(out, '\n');
}

/* --- in --- */

static bool read_count(struct text column, int64_t *out)
{
    uint64_t number;

    if (text_to_u64(column, &number) || number > INT64_MAX)
        return false;
    *out = (int64_t)number;
    return true;
}

static int split(struct text line, struct text columns[COLUMNS])
{
    int len = 0;

    while (len < COLUMNS && text_next(&line, '\t', &columns[len]))
        len++;
    return line.len == 0 ? len : COLUMNS + 1;
}

static bool read_entry(const struct text columns[COLUMNS], const struct config *config,
                       struct top_entry *out)
{
    struct account *account = &out->account;

    *out = (struct top_entry){.generation = config->generation};
    if (text_unhex(columns[0], account->digest.bytes, sizeof(account->digest.bytes)) ||
        !read_count(columns[1], &out->images) || !read_count(columns[2], &out->error) ||
        columns[5].len > ACCOUNT_ID_MAX)
        return false;
    account->tier = policy_tier(&config->policy, columns[3]);
    account->team = columns[4].len ? policy_team(&config->policy, columns[4]) : -1;
    if (account->tier < 0 || (columns[4].len && account->team < 0))
        out->generation = -1;
    memcpy(account->id, columns[5].ptr, columns[5].len);
    return true;
}

/* True with the last line. */
static bool read_lines(struct text note, const struct config *config, struct top_list *list)
{
    struct text line, columns[COLUMNS];

    while (text_next(&note, '\n', &line)) {
        int len = split(line, columns);

        if (len == 2 && text_equal(columns[0], TEXT("least")))
            return read_count(columns[1], &list->least);
        if (len != COLUMNS || list->len == BOARD_LEN ||
            !read_entry(columns, config, &list->entries[list->len]))
            return false;
        list->len++;
    }
    return false;
}

enum status board_note_read(struct text note, const struct config *config, struct top_list *out)
{
    struct top_list list = {.entries = calloc(BOARD_LEN, sizeof(*list.entries))};

    if (!list.entries)
        return ST_NOMEM;
    if (!read_lines(note, config, &list)) {
        top_list_free(&list);
        return ST_INVALID;
    }
    *out = list;
    return ST_OK;
}
