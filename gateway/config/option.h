/* SPDX-License-Identifier: Apache-2.0 */
/* option.h - the plain options of options.def: "timeouts.head" is the key head in the mapping timeouts. */
#pragma once

#include "config/reader.h"

void option_set_defaults(struct config *config);
/* Is this key of the main file an option, or a group of them? */
bool option_takes(struct text key);
/* The names of those keys, each once: fills at most names_max, returns how many. */
int option_keys(struct text *names, int names_max);
/* Reads all options of the main file; other keys are not looked at. */
MUST_CHECK enum status option_read_all(struct reader *r, const struct node *top,
                                       struct config *config);
/* Adds the paths of RESTART options that differ, each with ", " before it unless out is empty. */
void option_restart_changes(const struct config *from, const struct config *to,
                            struct text_out *out);
