/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_probe — proof that the ring's restrictions hold; for io_open() and for tests. Real io only.
 */
#pragma once

#include "engine/io.h"

/* Submits a request with this opcode and nothing else, waits, and returns the kernel's answer:
 * -EACCES when it is forbidden. Only before the first turn, and not with an allowed opcode. */
int io_probe_operation(struct io *io, uint8_t opcode);
