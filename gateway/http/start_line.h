/* SPDX-License-Identifier: Apache-2.0 */
/* start_line.h - the first line of a message (RFC 9112 3 and 4), judged by hand: as it comes in, and when it is whole.
 * Lines are given with their CR, but without LF.  For parser.c alone. */
#pragma once

#include "http/parser.h"

/* What is wrong already with a line of which only this much is known; a fault once found stays when more comes. */
enum http_fault request_line_begun(const struct http_limits *limits, struct text line);
enum http_fault status_line_begun(struct text line);

/* A whole line, judged from its beginning; writes method, target, path, query or status, and minor_version. */
enum http_fault request_line_parse(const struct http_limits *limits, struct text line,
                                   struct http_head *head);
enum http_fault status_line_parse(struct text line, struct http_head *head);
