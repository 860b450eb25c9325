/* SPDX-License-Identifier: Apache-2.0 */
/* board.c - notes left and read.      Runs on: control thread.
 * A collection asks this gateway's workers first, then the store for what the others left. */
#include "admin/board.h"

#include <stdlib.h>
#include <sys/random.h>

#define NOTE_BYTES   65536
#define GATEWAYS_MAX 1024 /* of one day; what more there are is not read */

struct board {
    struct board_terms terms;
    uint64_t id; /* of this process, random */
    struct timer next;
    struct op op; /* the workers' own, for the next note */
    struct top_list own;
    char *note; /* owned: NOTE_BYTES */
};

struct collection {
    struct board *board;
    struct config *config; /* counted */
    struct board_list *out;
    struct op *op;
    struct op wait;
    int limit;
    char name[32]; /* of the board */
    struct quota_reading reading;
    struct top_list lists[GATEWAYS_MAX]; /* the first one is this gateway's */
    int lists_len;
};

int64_t board_today(const struct board *board)
{
    int64_t now_s = quota_now_us(board->terms.quota) / 1000000;

    return window_day(&board->terms.config->policy.zone, now_s).ordinal;
}

static struct text board_name(const struct board *board, char *buf, size_t size)
{
    struct text_out out;

    text_out_init(&out, buf, size);
    text_out_add(&out, TEXT("top"));
    text_out_int(&out, board_today(board));
    return text_out_text(&out);
}

/* --- leaving notes --- */

static void leave_note(struct board *board)
{
    const struct policy *policy = &board->terms.config->policy;
    int64_t now_s = quota_now_us(board->terms.quota) / 1000000;
    char name[32];
    struct text_out text;

    text_out_init(&text, board->note, NOTE_BYTES);
    board_note_print(&text, board->terms.config, &board->own);
    struct quota_note note = {
        .board = board_name(board, name, sizeof(name)),
        .from = board->id,
        .text = text_out_text(&text),
        .until_s = window_day(&policy->zone, now_s).end_s + 3600,
    };
    quota_post(board->terms.quota, &note);
}

static void schedule(struct board *board)
{
    struct loop *loop = board->terms.loop;

    timer_set(loop, &board->next, loop_now_us(loop) + BOARD_INTERVAL_US);
}

static void on_own(struct op *op, enum status st)
{
    struct board *board = container_of(op, struct board, op);

    if (st == ST_OK && board->own.len > 0)
        leave_note(board);
    if (st == ST_OK)
        top_list_free(&board->own);
    schedule(board);
}

static void on_next(struct timer *timer)
{
    struct board *board = container_of(timer, struct board, next);

    if (top_collect(board->terms.top, board_today(board), TEXT_NONE, BOARD_LEN, &board->own,
                    &board->op) != ST_PENDING)
        schedule(board);
}

enum status board_open(const struct board_terms *terms, struct board **out)
{
    struct board *board = calloc(1, sizeof(*board));

    if (!board)
        return ST_NOMEM;
    board->note = malloc(NOTE_BYTES);
    if (!board->note) {
        free(board);
        return ST_NOMEM;
    }
    board->terms = *terms;
    board->op.done = on_own;
    ASSERT(getrandom(&board->id, sizeof(board->id), 0) == (ssize_t)sizeof(board->id));
    timer_init(&board->next, on_next);
    schedule(board);
    *out = board;
    return ST_OK;
}

void board_configure(struct board *board, struct config *config)
{
    board->terms.config = config;
}

void board_close(struct board **where)
{
    struct board *board = *where;

    if (!board)
        return;
    *where = NULL;
    op_cancel(&board->op);
    timer_clear(&board->next);
    free(board->note);
    free(board);
}

/* --- reading them --- */

static void collection_free(struct collection *c)
{
    for (int i = 0; i < c->lists_len; i++)
        top_list_free(&c->lists[i]);
    config_unref(&c->config);
    free(c);
}

static void on_cancel(struct op *op)
{
    struct collection *c = op->callee;

    op_cancel(&c->wait);
    collection_free(c);
}

static void end(struct collection *c, enum status st)
{
    struct op *op = c->op;

    if (st == ST_OK)
        st = top_list_merge(c->lists, c->lists_len, c->limit, &c->out->list);
    c->out->gateways = c->lists_len;
    collection_free(c);
    op_done(op, st);
}

static void take_note(struct quota_reading *reading, uint64_t from, struct text text)
{
    struct collection *c = container_of(reading, struct collection, reading);

    if (from == c->board->id || c->lists_len == GATEWAYS_MAX)
        return;
    if (board_note_read(text, c->config, &c->lists[c->lists_len]) == ST_OK)
        c->lists_len++;
}

static void on_notes(struct op *op, enum status st)
{
    struct collection *c = container_of(op, struct collection, wait);

    c->out->is_whole = st == ST_OK;
    end(c, ST_OK);
}

static void on_collected(struct op *op, enum status st)
{
    struct collection *c = container_of(op, struct collection, wait);

    if (st) {
        end(c, st);
        return;
    }
    c->lists_len = 1;
    c->wait.done = on_notes;
    c->reading.board = board_name(c->board, c->name, sizeof(c->name));
    c->reading.take = take_note;
    st = quota_read_board(c->board->terms.quota, &c->reading, &c->wait);
    if (st != ST_PENDING)
        on_notes(&c->wait, st);
}

enum status board_collect(struct board *board, int limit, struct board_list *out, struct op *op)
{
    struct collection *c = calloc(1, sizeof(*c));
    enum status st;

    if (!c)
        return ST_NOMEM;
    c->board = board;
    c->config = config_ref(board->terms.config);
    c->out = out;
    c->op = op;
    c->limit = limit;
    c->wait.done = on_collected;
    st = top_collect(board->terms.top, board_today(board), TEXT_NONE, TOP_LEN, &c->lists[0],
                     &c->wait);
    if (st != ST_PENDING) {
        collection_free(c);
        return st;
    }
    op->cancel = on_cancel;
    op->callee = c;
    return ST_PENDING;
}
