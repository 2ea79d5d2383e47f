/* SPDX-License-Identifier: GPL-2.0-or-later */
/* process — CPU time and memory of another process, from /proc. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Over all its living threads, in microseconds. 0 when it is gone. With the scheduler's own
 * nanosecond accounting where the kernel has it. */
uint64_t process_cpu_us(pid_t pid);
/* Resident anonymous memory, bytes. */
uint64_t process_anonymous_size(pid_t pid);
/* Of the calling thread. */
uint64_t thread_cpu_us(void);
/* How long it was ready to run and had no CPU; 0 where the kernel does not count it. */
uint64_t thread_wait_us(void);
