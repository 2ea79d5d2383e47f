/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help — what `penstock-bench --help` says: first how to begin, then every option. */
#pragma once

extern const char help_text[];
