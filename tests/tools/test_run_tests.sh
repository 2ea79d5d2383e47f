#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tools/run_tests.sh adds up what programs report, and counts those that die, hang, say nothing or were not built.
# shellcheck source=tests/tools/tool_test.sh
. "$(dirname "$0")/tool_test.sh"

# program NAME LINE...: a shell script in place of a test program
program()
{
	local name=$1
	shift
	plant "tests/$name" '#!/bin/sh' "$@"
	chmod +x "$toy/tests/$name"
}

# run PROGRAM...: prints the runner's last line
run()
{
	for name in "$@"; do echo "unit:toy:$toy/tests/$name"; done |
	PENSTOCK_TEST_SECONDS=1 "$repository/tools/run_tests.sh" >"$toy/output" 2>&1
	code=$?
	tail -n 1 "$toy/output"
	return "$code"
}

# sums NAME EXPECTED-LINE EXPECTED-CODE PROGRAM...
sums()
{
	local name=$1 line=$2 expected_code=$3 got code
	shift 3
	got=$(run "$@")
	code=$?
	if [ "$got" = "$line" ] && [ "$code" -eq "$expected_code" ]; then
		echo "ok $name"
	else
		printf 'not ok %s: "%s", exit code %s\n' "$name" "$got" "$code"
		tool_test_failed=1
	fi
}

program good 'echo "[ RUN      ] a"' 'echo "[       OK ] a"' 'echo "[       OK ] b"' 'echo "[  PASSED  ] 2 test(s)."'
program bad 'echo "[       OK ] a"' 'echo "[  FAILED  ] b"' 'echo "[  FAILED  ] 1 test(s), listed below:"' \
	'echo "[  FAILED  ] b"' 'exit 1'
program dies 'echo "[       OK ] a"' 'kill -SEGV $$'
program hangs 'echo "[       OK ] a"' 'sleep 30'
program silent 'true'
program skips 'echo "[       OK ] a"' 'echo "[  SKIPPED ] 1 test(s), listed below:"'

sums 'nothing to run' '0 passed, 0 failed' 0
sums 'what passes' '2 passed, 0 failed' 0 good
sums 'what fails' '1 passed, 1 failed' 1 bad
sums 'goes on after a failure' '3 passed, 1 failed' 1 bad good
sums 'a crash is a failure' '1 passed, 1 failed' 1 dies
sums 'a hang is a failure' '1 passed, 1 failed' 1 hangs
sums 'silence is a failure' '0 passed, 1 failed' 1 silent
sums 'a program that was not built is a failure' '2 passed, 1 failed' 1 good missing
sums 'skipped tests did not pass' '1 passed, 0 failed' 0 skips
tool_test_end
