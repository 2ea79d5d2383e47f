# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of penstockctl: one file per line, sorted.

CTL_SRC := \
	ctl/anonymizer.c \
	ctl/answer.c \
	ctl/arguments.c \
	ctl/bundle_config.c \
	ctl/certificate_chain.c \
	ctl/client.c \
	ctl/command_audit.c \
	ctl/command_config.c \
	ctl/command_config_reference.c \
	ctl/command_config_show.c \
	ctl/command_daemon.c \
	ctl/command_dlq.c \
	ctl/command_doctor.c \
	ctl/command_events.c \
	ctl/command_explain.c \
	ctl/command_flow.c \
	ctl/command_generations.c \
	ctl/command_ledger.c \
	ctl/command_status.c \
	ctl/command_support.c \
	ctl/command_tail.c \
	ctl/command_top.c \
	ctl/command_verify.c \
	ctl/commands.c \
	ctl/config_file.c \
	ctl/describe.c \
	ctl/doctor.c \
	ctl/doctor_certificates.c \
	ctl/doctor_files.c \
	ctl/doctor_host.c \
	ctl/doctor_names.c \
	ctl/doctor_store.c \
	ctl/frame.c \
	ctl/help.c \
	ctl/json_text.c \
	ctl/main.c \
	ctl/pages.c \
	ctl/problem.c \
	ctl/table.c \
	ctl/tar.c \
	ctl/terminal.c \
	ctl/top_figures.c \
	ctl/top_histogram.c \
	ctl/top_json.c \
	ctl/top_metrics.c \
	ctl/top_sample.c \
	ctl/top_text.c \
	ctl/top_view.c \
	ctl/units.c \
	ctl/verify_report.c
