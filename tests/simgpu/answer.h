/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - what is said to clients, in the shape that the controls ask for. */
#pragma once

#include "simgpu/connection.h"
#include "simgpu/work.h"

/* A whole answer with this content; ends it. */
void answer_whole(struct connection *c, int status, const char *content_type, struct text content);
/* OpenAI's error object; code may be NULL. */
void answer_error(struct connection *c, int status, const char *code, const char *message);

/* The images of a job, as JSON; ends the answer as its fault says. */
void answer_images(struct connection *c, const struct job *job);
/* The same as server-sent events. */
void answer_stream_begin(struct connection *c);
void answer_stream_event(struct connection *c, const struct job *job);
void answer_stream_end(struct connection *c, const struct job *job);
