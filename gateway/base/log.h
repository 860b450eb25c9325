/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - what the program says about itself: one line an event on standard error, key=value after a fixed word.
 * Never keys, prompts or bodies.  Any thread. */
#pragma once

#include "base/base.h"

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARN, LOG_NOTE, LOG_DEBUG };

/* Lines above this level are dropped; LOG_NOTE at start. */
void log_set_level(enum log_level level);

/* log_event(LOG_WARN, "backend_ejected", "backend=%s failures=%d", name, failures)
 * => 2026-11-21T20:51:03.123Z warn backend_ejected backend=gpu0 failures=5 */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);
