/* SPDX-License-Identifier: Apache-2.0 */
/* board.h - who was charged most images today, by all gateways on one store.      Runs on: control thread.
 *
 * Every BOARD_INTERVAL_US a gateway leaves the BOARD_LEN accounts with most images of its own as a note in the store (see
 * struct quota_note).  Whoever asks adds the others' notes of that day to what this gateway knows, with the bounds of
 * top.h.  A note outlives its gateway by the rest of the day; what a gateway charged between its last note and its end is
 * missing, as is what the others charged since theirs. */
#pragma once

#include "admin/top.h"
#include "quota/quota.h"

#define BOARD_LEN         100
#define BOARD_INTERVAL_US INT64_C(5000000)

struct board_terms {
    struct loop *loop;
    struct quota *quota; /* a door of this thread's own */
    struct top *top;
    struct config *config; /* lent until the next board_configure() */
};

struct board;

MUST_CHECK enum status board_open(const struct board_terms *terms, struct board **out);
void board_configure(struct board *board, struct config *config);
/* No collection may be pending. */
void board_close(struct board **board);

/* The policy's day now. */
int64_t board_today(const struct board *board);

struct board_list {
    struct top_list list;
    int gateways;  /* that it speaks of; those count that have ended today */
    bool is_whole; /* else the store could not be asked: it is this gateway's alone */
};

/* The limit accounts with most images today.  ST_PENDING, or ST_NOMEM; *out is written when op is done with ST_OK, its
 * list then belongs to the caller; op may be cancelled. */
MUST_CHECK enum status board_collect(struct board *board, int limit, struct board_list *out,
                                     struct op *op);

/* --- board_note.c: a list as a note.  Pure. --- */

/* As much of the list as fits. */
void board_note_print(struct text_out *out, const struct config *config,
                      const struct top_list *list);
/* Tiers and teams that the policy lacks leave the account's generation below any.  ST_OK, ST_NOMEM, or ST_INVALID for what
 * is no whole note. */
MUST_CHECK enum status board_note_read(struct text note, const struct config *config,
                                       struct top_list *out);
