#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A little world for the demonstration and the benchmark: certificates, secrets, a configuration, a running daemon.
# To be sourced:  . tools/lab.sh;  it sets nothing but these functions and the variable `lab_pid`.
# All addresses are loopback addresses.

lab_say()
{
	printf '\033[1m==> %s\033[0m\n' "$*"
}

lab_die()
{
	echo "lab: $*" >&2
	exit 1
}

# lab_secrets DIR: one secret per scheme, in the form its provider uses.
lab_secrets()
{
	mkdir -p "$1"
	umask_before=$(umask)
	umask 077
	for name in standard app; do
		printf 'whsec_%s\n' "$(openssl rand -base64 32)" >"$1/$name"
	done
	printf 'whsec_%s\n' "$(openssl rand -hex 16)" >"$1/stripe"
	openssl rand -hex 20 >"$1/github"
	openssl rand -hex 32 >"$1/zen"
	umask "$umask_before"
}

# lab_config FILE STORE LISTEN TARGET_URL CA METRICS CPUS: endpoints for four schemes, one target.
lab_config()
{
	cat >"$1" <<EOF
listeners:
  - address: $3
    tls: { certificate: certificates/server.pem, key: certificates/server.key }
endpoints:
  - { name: standard, path: /standard, scheme: standard-webhooks, secret_file: secrets/standard, target: app }
  - { name: github, path: /github, scheme: github, secret_file: secrets/github, target: app }
  - { name: stripe, path: /stripe, scheme: stripe, secret_file: secrets/stripe, target: app }
  - { name: zen, path: /zen, scheme: zen, secret_file: secrets/zen, target: app }
targets:
  - { name: app, url: '$4', secret_file: secrets/app${5:+, ca_file: $5}, retry: { attempts: 20, base: 500ms, max: 2s } }
store: { path: $2 }
workers: { cpus: $7 }
control: { socket: control.sock }
metrics: { address: $6 }
EOF
}

# lab_start BINARIES CONFIG LOG: starts the daemon and waits until it is ready. Sets lab_pid.
lab_start()
{
	# The log is read by a person.
	export PENSTOCK_LOG_FORMAT="${PENSTOCK_LOG_FORMAT:-text}"
	"$1/penstockd" -f "$2" >>"$3" 2>&1 &
	lab_pid=$!
	waited=0
	until "$1/penstockctl" --socket "$(dirname "$2")/control.sock" status >/dev/null 2>&1; do
		kill -0 "$lab_pid" 2>/dev/null || { tail -n 20 "$3" >&2; lab_die "penstockd did not start, see $3"; }
		waited=$((waited + 1))
		[ "$waited" -lt 200 ] || lab_die "penstockd is not ready after 20 s, see $3"
		sleep 0.1
	done
}
