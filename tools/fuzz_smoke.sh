#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run every fuzz target for a moment over its corpus and over random changes of it, so that none of them rots.
#
# usage: tools/fuzz_smoke.sh PROGRAM...      programs linked with tests/fuzz/main.c, built with sanitizers
#
# PENSTOCK_FUZZ_RUNS (default 4000) inputs each, from a fixed seed, so that a failure comes back; under 15 s in all.
set -eu

runs=${PENSTOCK_FUZZ_RUNS:-4000}
seconds_max=15
cd "$(dirname "$0")/.."
without_randomisation=
if setarch "$(uname -m)" -R true 2>/dev/null; then without_randomisation="setarch $(uname -m) -R"; fi

[ $# -gt 0 ] || echo 'fuzz_smoke: no fuzz targets yet'
started=$(date +%s)
mkdir -p build/test
for program in "$@"; do
	name=$(basename "$program")
	corpus=tests/fuzz/corpus/${name#fuzz_}
	[ -d "$corpus" ] || corpus=
	left=$((seconds_max - ($(date +%s) - started)))
	[ "$left" -gt 0 ] || left=1
	log=build/test/smoke-$name.log
	# shellcheck disable=SC2086  # a command with its options, or nothing
	if ! timeout -k 5 30 $without_randomisation "$program" -runs="$runs" -seed=1 -max_total_time="$left" $corpus \
		>"$log" 2>&1; then
		tail -n 40 "$log" >&2
		echo "fuzz_smoke: $name FAILED (log: $log)" >&2
		exit 1
	fi
	echo "fuzz_smoke: $name, ok${corpus:+ (corpus: $(find "$corpus" -type f | wc -l) files)}"
done
