/* SPDX-License-Identifier: Apache-2.0 */
/* embedded_service.h - shares of the limits of the whole service, in the embedded store.  Private to this folder. */
#pragma once

#include "quota/quota.h"

struct embedded_service;

/* In the store's folder; contract as quota_store_open(). */
MUST_CHECK enum status embedded_service_open(const char *folder, struct text_out *error,
                                             struct embedded_service **out);
/* Harmless for NULL. */
void embedded_service_close(struct embedded_service **service);

/* The op of quota_ops. */
MUST_CHECK enum status embedded_claim(struct quota *q, struct quota_claim *claim, struct op *op);
