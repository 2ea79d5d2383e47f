# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
# For the tests of the tools: a toy tree in a temporary folder, and one line "ok NAME" or "not ok NAME" per case.
# Sourced by tests/tools/test_*.sh, which end with: tool_test_end

set -u

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
toy=$(mktemp -d)
trap 'rm -rf "$toy"' EXIT
tool_test_failed=0
licence='/* SPDX-License-Identifier: GPL-2.0-or-later */'

# plant PATH LINE...      write a file of the toy tree
plant()
{
	local path=$toy/$1
	shift
	mkdir -p "$(dirname "$path")"
	printf '%s\n' "$@" >"$path"
}

# passes NAME COMMAND...      the command must succeed
passes()
{
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok $name"
	else
		printf 'not ok %s\n%s\n' "$name" "$output"
		tool_test_failed=1
	fi
}

# fails NAME TEXT COMMAND...      the command must fail and say TEXT
fails()
{
	local name=$1 text=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		printf 'not ok %s (it passed)\n%s\n' "$name" "$output"
		tool_test_failed=1
	elif ! grep -qF -- "$text" <<<"$output"; then
		printf 'not ok %s (it does not say "%s")\n%s\n' "$name" "$text" "$output"
		tool_test_failed=1
	else
		echo "ok $name"
	fi
}

tool_test_end()
{
	exit "$tool_test_failed"
}
