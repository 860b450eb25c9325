/* SPDX-License-Identifier: Apache-2.0 */
/* parse.h - a YAML document as a tree of nodes, each with its place, and the one error of a load.
 *
 * Of YAML this takes scalars, lists and mappings.  Anchors, aliases and tags are refused, so that a short document cannot
 * grow large and a file says what it shows; so are second documents, keys that are no scalars or that come twice. */
#pragma once

#include "config/reader.h"

/* The longest policy or main file, and the longest file of keys. */
#define PARSE_BYTES_MAX   ((size_t)1 << 20)
#define KEYFILE_BYTES_MAX ((size_t)16 << 20)

/* Reads and parses a whole file.  at is the node that names it, or NULL. */
MUST_CHECK enum status parse_file(struct reader *r, const char *file, size_t bytes_max,
                                  const struct node *at, const struct node **out);
MUST_CHECK enum status parse_text(struct reader *r, const char *file, struct text document,
                                  const struct node **out);
