/* SPDX-License-Identifier: Apache-2.0 */
/* job.c - the words for what is asked. */

#include "core/job.h"

const char *operation_name(enum operation operation)
{
    switch (operation) {
    case OPERATION_NONE:
        return "none";
    case OPERATION_PASS:
        return "pass";
    case OPERATION_GENERATE:
        return "generate";
    }
    return "none";
}
