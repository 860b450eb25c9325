/* SPDX-License-Identifier: Apache-2.0 */
/* talk.h - what verbs that speak to a gateway say alike: parts of what is asked, and what becomes of the answer. */
#pragma once

#include "ctl/call.h"
#include "ctl/rows.h"

/* before: ? or &. */
void talk_add_query(struct text_out *out, char before, const char *name, const char *value);
/* A member of a JSON object behind its "{"; none for NULL.  Numbers go out as they were written: the gateway judges them. */
void talk_add_member(struct text_out *out, const char *name, const char *value, bool is_number);

/* An answer that is no success: its own words.  The exit code. */
int talk_refuse(const struct ctl *ctl, const struct call_answer *answer);
int talk_print_rows(struct text json, const char *array, const struct column *columns, int len);
/* Prints the answer, as it is for programs, and frees it.  The exit code. */
int talk_finish(const struct ctl *ctl, struct call_answer *answer, int (*print)(struct text json));
