/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bug — whether something is a bug to our code: whether a CHECK ends the process that does it. */
#pragma once

#include <stdbool.h>

/* In a child process, which sees what the test has. Its message goes nowhere. */
bool is_a_bug(void (*misuse)(void *owner), void *owner);
