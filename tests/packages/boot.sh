#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Boot systemd in a root of its own, have it run a script, and end. Called by test_systemd.py in namespaces of its own:
#   unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc --net boot.sh BASE WORK SCRIPT
#
# BASE is only read (an overlay is put over it, below WORK). WORK/shared is /mnt inside, and SCRIPT, which has to be in
# it, runs as a service.
set -euo pipefail

base=$1 work=$2 script=$3
root=$work/root
mkdir -p "$root" "$work/upper" "$work/work"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do mount -t tmpfs tmpfs "$root/$folder"; done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/oldroot"
mount -t devpts devpts "$root/dev/pts"
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$root/dev/console" "$work/shared/console"
mount --bind "$work/shared/console" "$root/dev/console"
mount --bind "$work/shared" "$root/mnt"

# Not a first boot, which would enable everything; and nothing of an ordinary boot is wanted.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
rm -rf "$root"/{usr/lib,etc}/systemd/system/*.wants
printf '[Unit]\nDescription=No network is waited for\n' >"$root/etc/systemd/system/network-online.target"
cat >"$root/etc/systemd/system/script.service" <<END
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/bash /mnt/$script
ExecStopPost=/bin/systemctl --no-block poweroff --force
END
ip link set lo up
cd "$root"
pivot_root . oldroot
cd /
umount -l /oldroot
export container=test
exec /lib/systemd/systemd --system --unit=script.service --log-target=null --show-status=no
