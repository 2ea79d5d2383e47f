/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_text — what may stand in a configuration file at all: UTF-8, visible, without tricks.
 *
 * Pure.
 */
#pragma once

#include "base/bytes.h"

/* Decodes the first character: its bytes (1 to 4), or 0 when it is not well-formed UTF-8 or the
 * text is empty. */
size_t config_text_next(struct bytes text, uint32_t *ret_character);
/* False for control characters except tab and line feed, for invisible line separators and for
 * marks that turn the direction of text. */
bool config_text_allowed(uint32_t character);
/* Removes an incomplete character from the end, after text was cut to fit. */
void config_text_trim(char *text);
