#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Measure Penstock beside nginx on one pinned CPU. usage: tools/bench.sh [--rounds N] [--seconds S]; see bench_run.py.
set -eu
cd "$(dirname "$0")/.."
exec /usr/bin/python3 tools/bench_run.py "$@"
