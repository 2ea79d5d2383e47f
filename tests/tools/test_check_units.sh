#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tools/check_units passes our units and finds what systemd does not know, and what opens the sandbox.
# shellcheck source=tests/tools/tool_test.sh disable=SC2317  # functions called by passes and fails
. "$(dirname "$0")/tool_test.sh"

check_units()
{
	"$repository/tools/check_units" "$toy"
}

our_units()
{
	cp "$repository"/packaging/systemd/*.service "$repository"/packaging/systemd/*.socket "$toy/"
}

# faulty NAME TEXT FILE SED: our units, one of them edited, must fail and say TEXT.
faulty()
{
	our_units
	sed -i "$4" "$toy/$3"
	fails "$1" "$2" check_units
}

without_systemd()
{
	mkdir -p "$toy/bin"
	ln -sf "$(command -v dirname)" "$toy/bin/dirname"
	PATH=$toy/bin /bin/sh "$repository/tools/check_units" "$toy" | grep -q 'skipped'
}

passes 'a host without systemd-analyze: said, not failed' without_systemd
if ! command -v systemd-analyze >/dev/null; then tool_test_end; fi
our_units
passes 'our units' check_units
faulty 'a key that systemd does not know' 'penstockd.service' penstockd.service 's/^WatchdogSec/WatchdogSecs/'
faulty 'a value that systemd does not take' 'penstockd.service' penstockd.service 's/^Restart=.*/Restart=sometimes/'
faulty 'a socket without an address' 'penstockd-activated.socket' penstockd-activated.socket '/^ListenStream/d'
faulty 'a sandbox with holes' 'more exposed than 20 tenths' penstockd.service \
	-e'/^SystemCallFilter/d'
faulty 'more capabilities' 'more exposed than 20 tenths' penstockd-activated.service \
	's/^CapabilityBoundingSet=.*/CapabilityBoundingSet=CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE/'
tool_test_end
