/* SPDX-License-Identifier: Apache-2.0 */
/* openai.h - the Images API of OpenAI, which SGLang, vLLM-omni, LocalAI and stable-diffusion.cpp speak too.
 *
 * Counted: POST /v1/images/generations with a JSON object.  n: absent or null is 1; else a whole number from 1 to 10,
 * written without fraction and exponent.  What no two parsers read alike is refused: a field of ours that is there twice,
 * or in other letter case (some backends would take "N" for "n").  So is the tag with which a prompt can tell
 * stable-diffusion.cpp another number of images.  All else is the backend's to judge. */
#pragma once

#include "dialect/dialect.h"

extern const struct dialect dialect_openai;
