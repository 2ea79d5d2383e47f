#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run test programs, add up what they say, and print "N passed, N failed" as the last line.
#
# usage: tools/run_tests.sh [--verbose] [--tools] [--pytest] [--packages]  <list of kind:variant:program on standard input>
#
#   --tools     also run the tests of the tools (tests/tools/test_*.sh)
#   --pytest    also run the tests against real processes (tests/integration, tests/crash)
#   --packages  run the tests of the packages (tests/packages; called by make test-packages)
#   --verbose   show the output of programs that pass, too
#
# A program listed but not built counts as one failure, and so does one that dies, leaks or hangs: what it managed to
# report before is kept. Nothing stops the run early. Output goes to build/test/<kind>-<variant>-<name>.log.
# Exit code 1 when anything failed.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
verbose=no with_tools=no with_pytest=no with_packages=no
program_seconds=${PENSTOCK_TEST_SECONDS:-300}
for option in "$@"; do
	case $option in
	--verbose) verbose=yes ;;
	--tools) with_tools=yes ;;
	--pytest) with_pytest=yes ;;
	--packages) with_packages=yes ;;
	*)
		echo "run_tests: unknown option $option" >&2
		exit 2
		;;
	esac
done

passed=0 failed=0 skipped=0
logs=build/test
mkdir -p "$logs"

# The sanitizers of the compilers in Debian 12 do not get along with the largest setting of address randomisation.
without_randomisation=
if setarch "$(uname -m)" -R true 2>/dev/null; then without_randomisation="setarch $(uname -m) -R"; fi
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:second_deadlock_stack=1}

report()
{
	local name=$1 ok=$2 bad=$3 log=$4 note=$5
	passed=$((passed + ok))
	failed=$((failed + bad))
	if [ "$bad" -eq 0 ]; then
		printf '  %-60s %4d passed%s\n' "$name" "$ok" "$note"
		if [ "$verbose" = yes ]; then sed 's/^/    /' "$log"; fi
	else
		printf '  %-60s %4d passed, %d FAILED%s\n' "$name" "$ok" "$bad" "$note"
		tail -n 40 "$log" | sed 's/^/    /'
	fi
}

# cmocka prints "[       OK ] name" for each test and "[  FAILED  ] n test(s)" in its summary.
count_cmocka()
{
	awk '/^\[ +OK \]/ { ok++ }
		/^\[ +SKIPPED +\] [0-9]+ test/ { skip += $4 }
		/^\[ +FAILED +\] [0-9]+ test/ { bad += $4 }
		END { print ok + 0, bad + 0, skip + 0 }' "$1"
}

run_cmocka()
{
	local kind=$1 variant=$2 program=$3 name log code ok bad skip note=
	name="$kind $variant ${program##*tests/}"
	log=$logs/$kind-$variant-$(basename "$program").log
	if [ ! -x "$program" ]; then
		echo "$program was not built" >"$log"
		report "$name" 0 1 "$log" ' (not built)'
		return
	fi
	local prefix=
	if [ "$variant" = asan ] || [ "$variant" = tsan ]; then prefix=$without_randomisation; fi
	# shellcheck disable=SC2086  # a command with its options, or nothing
	timeout -k 5 "$program_seconds" $prefix "$program" </dev/null >"$log" 2>&1
	code=$?
	read -r ok bad skip < <(count_cmocka "$log")
	skipped=$((skipped + skip))
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		note=" (exit code $code)"
		if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then note=" (stopped after $program_seconds s)"; fi
	elif [ "$code" -eq 0 ] && [ $((ok + bad + skip)) -eq 0 ]; then
		bad=1
		note=' (reported no test at all)'
	fi
	report "$name" "$ok" "$bad" "$log" "$note"
}

tool_log()
{
	echo "$logs/tools-$(basename "$1" .sh).log"
}

# The tests of the tools, all at once: each has a folder of its own, and none looks at a clock.
start_tool_tests()
{
	local program
	for program in "$@"; do
		timeout -k 5 "$program_seconds" bash "$program" </dev/null >"$(tool_log "$program")" 2>&1 &
		tool_pids+=($!)
	done
}

# They print one line per case: "ok NAME" or "not ok NAME".
report_tool_test()
{
	local program=$1 pid=$2 log code ok bad note=
	log=$(tool_log "$program")
	wait "$pid"
	code=$?
	ok=$(grep -c '^ok ' "$log")
	bad=$(grep -c '^not ok ' "$log")
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		note=" (exit code $code)"
	fi
	report "tools $(basename "$program")" "$ok" "$bad" "$log" "$note"
}

count_junit()
{
	python3 - "$1" <<'END'
import sys
import xml.etree.ElementTree as tree

try:
    suites = list(tree.parse(sys.argv[1]).getroot().iter("testsuite"))
except (OSError, tree.ParseError):
    print(0, 1, 0)
    sys.exit()
total = sum(int(suite.get("tests", 0)) for suite in suites)
bad = sum(int(suite.get("failures", 0)) + int(suite.get("errors", 0)) for suite in suites)
skip = sum(int(suite.get("skipped", 0)) for suite in suites)
print(max(total - bad - skip, 0), bad, skip)
END
}

run_pytest()
{
	local folder=$1 python=python3 name log junit code ok bad skip note=
	name=$(basename "$folder")
	log=$logs/pytest-$name.log
	junit=$logs/pytest-$name.xml
	[ -n "$(find "$folder" -name 'test_*.py' -print -quit 2>/dev/null)" ] || return 0
	# The distribution's interpreter has the distribution's pytest; another one first in PATH may not.
	for candidate in /usr/bin/python3 python3; do
		if "$candidate" -c 'import pytest' 2>/dev/null; then
			python=$candidate
			break
		fi
	done
	rm -f "$junit"
	echo "  pytest $folder ..."
	"$python" -m pytest -q -p no:cacheprovider --junitxml="$junit" "$folder" </dev/null >"$log" 2>&1
	code=$?
	read -r ok bad skip < <(count_junit "$junit")
	skipped=$((skipped + skip))
	if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		note=" (exit code $code)"
	fi
	report "pytest $folder" "$ok" "$bad" "$log" "$note"
}

while IFS=: read -r kind variant program; do
	[ -n "$kind" ] || continue
	run_cmocka "$kind" "$variant" "$program"
done
if [ "$with_tools" = yes ]; then
	programs=() tool_pids=()
	for program in tests/tools/test_*.sh; do
		if [ -e "$program" ]; then programs+=("$program"); fi
	done
	start_tool_tests "${programs[@]}"
	for i in "${!programs[@]}"; do report_tool_test "${programs[i]}" "${tool_pids[i]}"; done
fi
if [ "$with_pytest" = yes ]; then
	run_pytest tests/integration
	run_pytest tests/crash
fi
if [ "$with_packages" = yes ]; then run_pytest tests/packages; fi

if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
