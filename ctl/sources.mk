# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of penstockctl: one file per line, sorted.

CTL_SRC := \
	ctl/command_verify.c \
	ctl/verify_report.c
