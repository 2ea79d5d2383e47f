/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_id — finds one text at the top of a JSON object without parsing the rest of it.
 *
 * Not a validator: it follows strings, escapes and nesting exactly, stops at the member it
 * looks for, and gives up on what it cannot follow. Pure; no recursion, no allocation.
 */
#pragma once

#include "base/bytes.h"

/* A provider writes its id among the first members; what stands further back is not found. */
enum { JSON_ID_SCAN_SIZE_MAX = 65536, JSON_ID_DEPTH_MAX = 64 };

/* The text of the first top-level member called `name`: a view into `json`, without quotes.
 * Empty when the document is not an object, has no such member among what is scanned, or
 * something is odd: the member is not a string, is empty, has an escape or a control character
 * in it, or a member before it is called something with an escape. */
struct bytes json_id_find(struct bytes json, struct bytes name);
