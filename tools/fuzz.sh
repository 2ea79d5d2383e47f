#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz with libFuzzer, one target after the other.
#
# usage: tools/fuzz.sh SECONDS PROGRAM...
#
# New inputs go to build/fuzz/corpus/NAME, what crashes to build/fuzz/crash/NAME-*; the corpus in the repository is only
# read. To add what was found:  PROGRAM -merge=1 tests/fuzz/corpus/NAME build/fuzz/corpus/NAME
set -eu

seconds=$1
shift
cd "$(dirname "$0")/.."
without_randomisation=
if setarch "$(uname -m)" -R true 2>/dev/null; then without_randomisation="setarch $(uname -m) -R"; fi
mkdir -p build/fuzz/crash
for program in "$@"; do
	name=$(basename "$program")
	name=${name#fuzz_}
	found=build/fuzz/corpus/$name
	mkdir -p "$found"
	dictionary=
	if [ -f "tests/fuzz/$name.dict" ]; then dictionary="-dict=tests/fuzz/$name.dict"; fi
	kept=
	if [ -d "tests/fuzz/corpus/$name" ]; then kept=tests/fuzz/corpus/$name; fi
	echo "fuzz: $name for $seconds s"
	# shellcheck disable=SC2086  # options, or nothing
	$without_randomisation "$program" -max_total_time="$seconds" -print_final_stats=1 -timeout=10 \
		-artifact_prefix="build/fuzz/crash/$name-" $dictionary "$found" $kept
done
