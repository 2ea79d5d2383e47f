#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole promise in a minute: signed webhooks over TLS from four kinds of provider, with forged, stale and replayed
# ones among them; the daemon is killed with SIGKILL in the middle and started again; every acknowledged event arrives.
#
# usage: tools/demo.sh          (run by `make demo`; leaves its files in build/demo)
# Exit code 0 when the ledger balances. The ledger is in build/demo/ledger.json.
set -eu
cd "$(dirname "$0")/.."
. tools/lab.sh

bin=build/release
dir=$PWD/build/demo
events=${DEMO_EVENTS:-24000}
rate=${DEMO_RATE:-4000}
listen=127.0.0.1:18443
sink=127.0.0.1:18444
ctl() { "$bin/penstockctl" --socket "$dir/control.sock" "$@"; }

lab_pid=
bench_pid=
cleanup()
{
	[ -z "$bench_pid" ] || kill "$bench_pid" 2>/dev/null || true
	[ -z "$lab_pid" ] || kill -9 "$lab_pid" 2>/dev/null || true
}
trap cleanup EXIT

lab_say "certificates, secrets and a configuration in build/demo"
rm -rf "$dir"
mkdir -p "$dir"
tests/lib/certificates.sh "$dir/certificates"
lab_secrets "$dir/secrets"
lab_config "$dir/penstock.yaml" "$dir/store" "$listen" "https://localhost:${sink#*:}/hooks" certificates/ca.pem \
	127.0.0.1:18464 auto
sed -n 1,9p "$dir/penstock.yaml"
"$bin/penstockd" --version
"$bin/penstockd" -t -f "$dir/penstock.yaml"

lab_say "penstockd listens on https://$listen and delivers to https://$sink"
lab_start "$bin" "$dir/penstock.yaml" "$dir/penstockd.log"

lab_say "sending $events events at $rate per second; 5 % of the requests are attacks"
"$bin/penstock-bench" run --target "https://localhost:${listen#*:}" --ca "$dir/certificates/ca.pem" \
	--endpoint "/standard:standard-webhooks:$dir/secrets/standard" --endpoint "/github:github:$dir/secrets/github" \
	--endpoint "/stripe:stripe:$dir/secrets/stripe" --endpoint "/zen:zen:$dir/secrets/zen" \
	--listen "$sink" --sink-certificate "$dir/certificates/server.pem" --sink-key "$dir/certificates/server.key" \
	--sink-secret "$dir/secrets/app" --count "$events" --rate "$rate" --connections 32 --forged 20 --stale 15 \
	--replay 15 --fail 5 --drain 60 --json "$dir/ledger.json" >"$dir/bench.txt" 2>&1 &
bench_pid=$!

sleep "$(awk "BEGIN { print $events / $rate / 2 }")"
lab_say "kill -9 $lab_pid, in the middle of it"
kill -9 "$lab_pid"
wait "$lab_pid" 2>/dev/null || true
lab_start "$bin" "$dir/penstock.yaml" "$dir/penstockd.log"
lab_say "started again; the providers send again what got no answer"

code=0
wait "$bench_pid" || code=$?
bench_pid=
lab_say "the ledger, kept outside the daemon"
cat "$dir/bench.txt"
[ "$code" -eq 0 ] || lab_die "the ledger does not balance (exit code $code)"

lab_say "penstockctl status"
ctl status
lab_say "one event and its attempts"
event=$(ctl --json events list --limit 1 | grep -o 'evt_[0-9a-z]*' | head -n 1)
ctl events show "$event"
ctl attempts "$event"
lab_say "penstockctl audit verify"
ctl audit verify

lab_say "stopping"
kill -TERM "$lab_pid"
wait "$lab_pid" || lab_die "penstockd ended with exit code $?"
lab_pid=
acked=$(sed -n 's/.*"acked": \([0-9]*\).*/\1/p' "$dir/ledger.json")
lab_say "acked = delivered = $acked, lost 0, forged accepted 0, replays delivered twice 0: build/demo/ledger.json"
