#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Install what Penstock needs from the distribution's package archive, by package name.
#
# usage: tools/bootstrap.sh [GROUP...]      groups: build (default), test, monitor, bench, check, package, all
#
#   build   compiler, make, headers and what is needed to unpack and build the pinned sources: enough for `make`
#   test    cmocka, pytest and the real peers (openssl, curl, nginx, haproxy): enough for `make test`
#   monitor promtool (in the package prometheus), which checks metrics and alert rules
#   bench   the peers the benchmark compares against: enough for `make bench`
#   check   clang, its fuzzing run-time, clang-format and clang-tidy: enough for `make check` and `make fuzz`
#   package dpkg-dev, rpm, lintian, rpmlint and debootstrap: enough for `make packages` and `make test-packages`
#
# apt-get runs only when something is missing, and needs root or sudo then. Packages that bring a service (nginx,
# haproxy, prometheus) are installed with their service neither started nor enabled; nothing else on the host is changed.
# On a host that is offline or has no apt-get, the script says what is missing and stops with exit code 1.
set -eu

build_packages='gcc libc6-dev make binutils patch xz-utils pkg-config dpkg-dev autoconf automake libtool
	ca-certificates debian-archive-keyring liblmdb-dev libxxhash-dev libyaml-dev'
test_packages='libcmocka-dev python3 python3-pytest openssl curl nginx haproxy'
monitor_packages='prometheus'
bench_packages='openssl nginx haproxy python3'
check_packages='clang libclang-rt-dev clang-format clang-tidy libcmocka-dev openssl python3'
package_packages='dpkg-dev rpm lintian rpmlint debootstrap python3 ca-certificates'
services='nginx haproxy prometheus'

say()
{
	printf 'bootstrap: %s\n' "$*"
}

installed()
{
	# dpkg-query knows packages under the name they really have; a virtual name (pkg-config on trixie is provided by
	# pkgconf) is asked for by what it provides.
	dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
	awk -v want="$1" '
		$1 == "installed" && $2 == want { found = 1; exit }
		$1 == "installed" { for (i = 3; i <= NF; i++) { name = $i; sub(/,$/, "", name); if (name == want) found = 1 } }
		END { exit !found }'
}

missing_packages()
{
	for package in "$@"; do
		installed "$package" || printf '%s ' "$package"
	done
}

stop_missing()
{
	cat >&2 <<END
bootstrap: these packages are missing and cannot be installed here ($1):
bootstrap:     $missing
bootstrap: On Debian 12 or 13, install them as root:  apt-get install $missing
bootstrap: Elsewhere, install what they stand for: gcc 12 or newer, GNU make, autoconf, automake, libtool, patch, tar, xz,
bootstrap: the development files of LMDB, xxHash and libyaml; for the tests cmocka, pytest, openssl, curl, nginx, haproxy.
bootstrap: The pinned sources (third_party/sources.lock) may be put in a folder, named by PENSTOCK_SOURCES=/that/folder.
bootstrap: Set PENSTOCK_BOOTSTRAP=skip to go on without this check.
END
	exit 1
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian starts a service when its package is configured unless policy-rc.d forbids it. Ours stays for the time of the
# installation only; one that is already there is the host's business and is kept.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no

forbid_services()
{
	[ -e "$policy" ] && return 0
	as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
	policy_is_ours=yes
}

allow_services()
{
	[ "$policy_is_ours" = yes ] || return 0
	as_root rm -f "$policy"
	policy_is_ours=no
}

install_packages()
{
	command -v apt-get >/dev/null 2>&1 || stop_missing 'no apt-get on this host'
	if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
		stop_missing 'neither root nor sudo'
	fi
	new_services=
	for service in $services; do
		case " $missing " in *" $service "*) new_services="$new_services $service" ;; esac
	done

	say "missing: $missing"
	say 'refreshing the package lists (apt-get update)'
	as_root apt-get -q update >"$log" 2>&1 || say "apt-get update reported errors, going on with the lists at hand"
	trap allow_services EXIT
	trap 'exit 130' INT TERM
	forbid_services
	say 'installing (this can take a few minutes)'
	# shellcheck disable=SC2086  # a list of package names
	if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
		install --no-install-recommends $missing >>"$log" 2>&1; then
		tail -n 15 "$log" >&2
		stop_missing 'apt-get install failed, see above'
	fi
	allow_services
	for service in $new_services; do
		command -v systemctl >/dev/null 2>&1 || continue
		as_root systemctl disable "$service.service" >>"$log" 2>&1 || true
		say "the $service service is installed, not started and not enabled"
	done
	say "installed: $missing"
}

if [ "${PENSTOCK_BOOTSTRAP:-}" = skip ]; then
	say 'skipped (PENSTOCK_BOOTSTRAP=skip)'
	exit 0
fi

[ $# -gt 0 ] || set -- build
wanted=
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build_packages" ;;
	test) wanted="$wanted $build_packages $test_packages" ;;
	monitor) wanted="$wanted $monitor_packages" ;;
	bench) wanted="$wanted $build_packages $bench_packages" ;;
	check) wanted="$wanted $build_packages $check_packages" ;;
	package) wanted="$wanted $package_packages" ;;
	all)
		wanted="$wanted $build_packages $test_packages $monitor_packages $bench_packages"
		wanted="$wanted $check_packages $package_packages"
		;;
	*)
		echo "bootstrap: unknown group '$group' (build, test, monitor, bench, check, package, all)" >&2
		exit 2
		;;
	esac
done
# shellcheck disable=SC2086  # a list of package names, doubles removed
wanted=$(printf '%s\n' $wanted | awk '!seen[$0]++')

if ! command -v dpkg-query >/dev/null 2>&1; then
	missing=$(echo "$wanted" | tr '\n' ' ')
	stop_missing 'not a Debian system'
fi
# shellcheck disable=SC2086
missing=$(missing_packages $wanted)
missing=${missing% }
if [ -z "$missing" ]; then
	say "nothing to install for: $*"
	exit 0
fi
log=$(mktemp)
install_packages
rm -f "$log"
