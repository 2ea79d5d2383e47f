/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify — tells systemd how we are (sd_notify protocol: datagrams to $NOTIFY_SOCKET), without
 * linking libsystemd for a few messages. Does nothing when not started by systemd. Any thread.
 */
#pragma once

#include <stdint.h>

void notify_ready(void);
/* Followed by notify_ready(), whatever became of it. */
void notify_reloading(void);
/* `patience_us`: how long it may take, if that is more than TimeoutStopSec=. */
void notify_stopping(uint64_t patience_us);
/* How often systemd wants to hear notify_alive() at least (WatchdogSec=), us; 0: never. */
uint64_t notify_watchdog_us(void);
void notify_alive(void);
/* One line for `systemctl status`. */
void notify_status(const char *status);
