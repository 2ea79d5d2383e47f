/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/result.h"

#include "base/check.h"

const char *result_text(enum result result)
{
	static const char *const texts[] = {
#define X(name, text) [RESULT_##name] = (text),
		RESULT_TABLE(X)
#undef X
	};
	BOUND(ARRAY_COUNT(texts) == RESULT_COUNT);

	CHECK(result < RESULT_COUNT);
	return texts[result];
}
