# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of penstockctl: one file per line, sorted.

CTL_SRC := \
	ctl/answer.c \
	ctl/arguments.c \
	ctl/client.c \
	ctl/command_audit.c \
	ctl/command_config.c \
	ctl/command_config_fmt.c \
	ctl/command_config_reference.c \
	ctl/command_config_show.c \
	ctl/command_daemon.c \
	ctl/command_dlq.c \
	ctl/command_events.c \
	ctl/command_explain.c \
	ctl/command_flow.c \
	ctl/command_status.c \
	ctl/command_verify.c \
	ctl/commands.c \
	ctl/config_file.c \
	ctl/help.c \
	ctl/json_text.c \
	ctl/main.c \
	ctl/pages.c \
	ctl/table.c \
	ctl/units.c \
	ctl/verify_report.c
