/* SPDX-License-Identifier: Apache-2.0 */
/* service.h - limits of the whole service, in a policy. */
#pragma once

#include "config/keys.h"

key_read_fn service_read; /* into a struct policy */
