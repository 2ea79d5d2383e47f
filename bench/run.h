/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run — what penstock-bench does from beginning to end, one function for each command. They
 * write the report and return the exit code.
 */
#pragma once

#include "bench.h"

/* `send`, `run` and `find`. */
int run_send(struct bench *bench);
int run_sink(struct bench *bench);
/* Opens the connections and looks at what each costs the daemon. */
int run_hold(struct bench *bench);
