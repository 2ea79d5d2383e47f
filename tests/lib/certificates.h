/* SPDX-License-Identifier: GPL-2.0-or-later */
/* certificates — what tests/lib/certificates.sh makes, made on first use into build/test.
 * Tests run from the top of the source tree. */
#pragma once

#include "base/bytes.h"

#define CERTIFICATES_DIR "build/test/certificates"

/* The content of "NAME.pem" or "NAME.key"; stays loaded until the program ends. */
struct bytes certificate_file(const char *file);
