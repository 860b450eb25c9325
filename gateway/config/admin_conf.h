/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conf.h - the mapping `admin`: where operators reach the gateway, and the token that changing calls must bring. */
#pragma once

#include "config/reader.h"

/* {address, socket, token or token_file}; address or socket must be there.  config->listen has been read. */
MUST_CHECK enum status admin_conf_read(struct reader *r, const struct node *mapping,
                                       struct config *config);
