/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify — tells systemd how we are (sd_notify protocol: datagrams to $NOTIFY_SOCKET), without
 * linking libsystemd for three messages. Does nothing when not started by systemd.
 */
#pragma once

void notify_ready(void);
void notify_stopping(void);
/* Until the next notify_ready(): another program takes over in this process. */
void notify_reloading(void);
/* systemd keeps the descriptor under this name and hands it to the next process of the unit
 * (FileDescriptorStoreMax= in the unit); several may have one name. */
void notify_fd_store(int fd, const char *name);
void notify_fd_forget(const char *name);
/* One line for `systemctl status`. */
void notify_status(const char *status);
