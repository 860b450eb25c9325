/* SPDX-License-Identifier: Apache-2.0 */
/* framing.h - what the fields of a head mean for the message and its connection (RFC 9112 3.2, 6, 7 and 9.3).  For
 * parser.c alone. */
#pragma once

#include "http/parser.h"

/* Judges the fields; writes content_length, is_chunked, has_body, keeps_alive, expects_continue and wants_upgrade of
 * p->head, and framing and body_left of p. */
enum http_fault framing_of_request(struct http_parser *p);
enum http_fault framing_of_answer(struct http_parser *p);
