/* SPDX-License-Identifier: Apache-2.0 */
/* prices.h - size classes and the price list of a policy. */
#pragma once

#include "config/keys.h"

key_read_fn sizes_read;  /* into a struct policy */
key_read_fn prices_read; /* after the sizes, which it names */

/* A pattern of models: visible ASCII, with a "*" at its end only. */
bool prices_is_model(struct text t);
#define MODEL_EXPECTED                                                                             \
    "the name of a model, or a beginning and '*', of at most 128 visible characters"
