# SPDX-License-Identifier: GPL-2.0-or-later
# The sources of penstock-bench: one file per line, sorted.

BENCH_SRC := \
	bench/bench.c \
	bench/chaos.c \
	bench/disk_load.c \
	bench/find.c \
	bench/flush_file.c \
	bench/hdr.c \
	bench/help.c \
	bench/histogram.c \
	bench/ledger.c \
	bench/live.c \
	bench/main.c \
	bench/measure.c \
	bench/options.c \
	bench/page.c \
	bench/payload.c \
	bench/plot.c \
	bench/process.c \
	bench/report.c \
	bench/run.c \
	bench/search.c \
	bench/sender.c \
	bench/sender_lane.c \
	bench/sink.c \
	bench/watch.c
