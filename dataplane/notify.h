/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify — tells systemd how we are (sd_notify protocol: datagrams to $NOTIFY_SOCKET), without
 * linking libsystemd for a few messages. Does nothing when not started by systemd. Any thread.
 */
#pragma once

#include <stdint.h>

void notify_ready(void);
/* Until the next notify_ready(): a reload, or another program takes over in this process. */
void notify_reloading(void);
/* `patience_us`: how long it may take, if that is more than TimeoutStopSec=. */
void notify_stopping(uint64_t patience_us);
/* How often systemd wants to hear notify_alive() at least (WatchdogSec=), us; 0: never. */
uint64_t notify_watchdog_us(void);
void notify_alive(void);
/* Another interval from now on, whatever the unit says. */
void notify_watchdog_set(uint64_t interval_us);
/* systemd keeps the descriptor under this name and hands it to the next process of the unit
 * (FileDescriptorStoreMax= in the unit); several may have one name. */
void notify_fd_store(int fd, const char *name);
void notify_fd_forget(const char *name);
/* One line for `systemctl status`. */
void notify_status(const char *status);
