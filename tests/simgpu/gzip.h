/* SPDX-License-Identifier: Apache-2.0 */
/* gzip.h - a gzip member around bytes that stay as they are (RFC 1952, stored blocks of RFC 1951): enough to be a
 * content coding that a gateway cannot look into without decoding it. */
#pragma once

#include "simgpu/buffer.h"

void gzip_wrap(struct buffer *bytes);
