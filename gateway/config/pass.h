/* SPDX-License-Identifier: Apache-2.0 */
/* pass.h - the list `pass`: safe paths that are forwarded without being counted. */
#pragma once

#include "config/keys.h"

key_read_fn pass_read;
