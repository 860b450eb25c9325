/* SPDX-License-Identifier: Apache-2.0 */
/* backends.h - the list of backends, and what watches them. */
#pragma once

#include "config/keys.h"

/* Reads the list `backends` into a struct config whose options have been read. */
key_read_fn backends_read;
