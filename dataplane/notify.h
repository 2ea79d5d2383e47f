/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notify — tells systemd how we are (sd_notify protocol: datagrams to $NOTIFY_SOCKET), without
 * linking libsystemd for three messages. Does nothing when not started by systemd.
 */
#pragma once

void notify_ready(void);
void notify_stopping(void);
/* One line for `systemctl status`. */
void notify_status(const char *status);
