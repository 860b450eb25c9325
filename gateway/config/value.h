/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - what scalars mean: numbers, durations, sizes, names.  No floating point. */
#pragma once

#include "base/text.h"

/* Decimal digits, at most INT64_MAX.  ST_OK or ST_INVALID, as all here. */
MUST_CHECK enum status value_integer(struct text t, int64_t *out);
/* 250ms, 10s, 5min, 1h: whole numbers, no blank before the unit. */
MUST_CHECK enum status value_duration_ms(struct text t, int64_t *out);
/* 512 (bytes), 16KiB, 1MiB, 2GiB. */
MUST_CHECK enum status value_size(struct text t, int64_t *out);
/* 80 => 80000, 76.5 => 76500: up to three decimals. */
MUST_CHECK enum status value_thousandths(struct text t, int64_t *out);

/* 1..len_max of letters, digits, '_', '-' and '.', with a letter or digit first. */
bool value_is_name(struct text t, size_t len_max);
/* Not empty; ASCII without blanks and control characters. */
bool value_is_visible(struct text t);
/* Not empty; no control characters. */
bool value_is_line(struct text t);
/* A token of RFC 9110 5.6.2: the name of a field. */
bool value_is_token(struct text t);

/* As value_duration_ms and value_size read them, in the largest unit that fits. */
void value_print_duration_ms(int64_t ms, struct text_out *out);
void value_print_size(int64_t bytes, struct text_out *out);
