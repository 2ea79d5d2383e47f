#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Build the packages in two versions, lint them, prove that they are reproducible, and live through install, upgrade and
# removal in a fresh root. The last line is "N passed, N failed".
#
# usage: tests/packages/run.sh      (make test-packages)
#
# PENSTOCK_PACKAGE_TESTS names the parts, for the work on one of them: build lint reproducible life (default: all).
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
parts=${PENSTOCK_PACKAGE_TESTS:-build lint reproducible life}

if [ "$(id -u)" -ne 0 ]; then
	echo 'make test-packages needs root: it installs packages into a root of its own (debootstrap, chroot, mount).' >&2
	echo 'Without root: make packages, tools/check_packages and make check-reproducible.' >&2
	echo '0 passed, 1 failed'
	exit 1
fi

build_two()
{
	version=$(packaging/package.py version) &&
		make --no-print-directory packages &&
		make --no-print-directory packages PACKAGES=build/packages/next "PACKAGE_VERSION=$version+next"
}

wanted()
{
	case " $parts " in *" $1 "*) return 0 ;; esac
	return 1
}

passed=0 failed=0
part()
{
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
	fi
}

if wanted build; then part 'building the packages in two versions' build_two; fi
if wanted lint; then part 'lintian and rpmlint' tools/check_packages; fi
if wanted reproducible; then part 'the same to the bit in two folders' tools/check_reproducible; fi
if wanted life; then
	part 'a fresh root' tests/packages/make_root.sh "$root/build/test/root"
	part 'a fresh root with systemd' tests/packages/make_root.sh "$root/build/test/root-systemd" systemd
	# Mounts of their own: whatever happens, none is left on the host.
	said=$(unshare --mount --propagation private tools/run_tests.sh --packages </dev/null)
	printf '%s\n' "$said" | sed '$d'
	read -r ok _ bad _ <<<"${said##*$'\n'}"
	passed=$((passed + ok))
	failed=$((failed + bad))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
