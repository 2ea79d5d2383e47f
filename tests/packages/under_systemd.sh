# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What test_systemd.py has done inside: each line of /mnt/found is NAME=VALUE. Nothing is judged here.
exec >/mnt/log 2>&1
set -x

found()
{
	printf '%s=%s\n' "$1" "$2" >>/mnt/found
}

show()
{
	systemctl show --value -p "$1" penstockd.service
}

# until_true SECONDS COMMAND...
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

send()
{
	exec 3<>/dev/tcp/127.0.0.1/443
	cat "/mnt/request-$1" >&3
	found "answer_$1" "$(timeout 10 head -n 1 <&3 | tr -d '\r')"
	exec 3>&-
}

systemctl start systemd-journald.service
dpkg -i /mnt/now.deb
found enabled "$(systemctl is-enabled penstockd.service)"
found after_install "$(systemctl is-active penstockd.service)"

install -o root -g penstock -m 0640 /mnt/github /etc/penstock/secrets/github
cp /mnt/penstock.yaml /etc/penstock/penstock.yaml
mkdir -p /etc/systemd/system/penstockd.service.d
printf '[Service]\nWatchdogSec=2s\n' >/etc/systemd/system/penstockd.service.d/test.conf
systemctl daemon-reload
timeout 60 systemctl start penstockd.service
code=$?
found started "$code"
if [ "$code" -ne 0 ]; then
	# Nothing below means anything then.
	systemctl --no-pager status penstockd.service
	journalctl --no-pager -u penstockd.service >/mnt/journal
	exit 1
fi
found status "$(show StatusText)"
pid=$(show MainPID)
found capabilities "$(awk '/^CapBnd/ { print $2 }' "/proc/$pid/status")"
found seccomp "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")"
found user "$(stat -c %U "/proc/$pid/task")"
worker=$(dirname "$(grep -l '^worker-0' /proc/"$pid"/task/*/comm)")
found pinned "$(awk '/^Cpus_allowed_list/ { print $2 }' "$worker/status")"
found socket "$(stat -c '%U %G %a' /run/penstock/control.sock)"
found store "$(stat -c '%U %a' /var/lib/penstock)"
send 1

timeout 60 systemctl reload penstockd.service
found reloaded "$?"
echo nonsense >>/etc/penstock/penstock.yaml
timeout 60 systemctl reload penstockd.service
found reloaded_wrong "$?"
cp /mnt/penstock.yaml /etc/penstock/penstock.yaml
found active_after_reloads "$(systemctl is-active penstockd.service)"

# Longer than two times the watchdog's.
sleep 5
found restarts_when_well "$(show NRestarts)"
kill -STOP "$pid"
until_true 20 sh -c "[ \"\$(systemctl show --value -p NRestarts penstockd.service)\" = 1 ]"
until_true 20 systemctl is-active --quiet penstockd.service
found restarts_when_hanging "$(show NRestarts)"
pid=$(show MainPID)
send 2

dpkg -i /mnt/next.deb
found active_after_upgrade "$(systemctl is-active penstockd.service)"
found restarted_by_upgrade "$([ "$(show MainPID)" != "$pid" ] && echo yes)"
found accepted "$(penstockctl status | awk '/^events/ { print $2 }')"
penstockctl audit verify
found audit "$?"

dpkg --remove penstock
found active_after_removal "$(systemctl is-active penstockd.service)"
found left "$(ls /var/lib/penstock | tr '\n' ' ')"
dpkg --purge penstock
found purged "$(ls -d /var/lib/penstock 2>/dev/null)"
journalctl --no-pager -u penstockd.service >/mnt/journal
