# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of penstockctl: one file per line, sorted.

CTL_SRC := \
	ctl/answer.c \
	ctl/arguments.c \
	ctl/client.c \
	ctl/command_audit.c \
	ctl/command_backup.c \
	ctl/command_config.c \
	ctl/command_daemon.c \
	ctl/command_dlq.c \
	ctl/command_events.c \
	ctl/command_flow.c \
	ctl/command_restore.c \
	ctl/command_status.c \
	ctl/command_store.c \
	ctl/command_verify.c \
	ctl/commands.c \
	ctl/confirm.c \
	ctl/describe.c \
	ctl/help.c \
	ctl/main.c \
	ctl/offline.c \
	ctl/pages.c \
	ctl/problem.c \
	ctl/table.c \
	ctl/units.c \
	ctl/verify_report.c
